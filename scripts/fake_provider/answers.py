"""From a request to what is to be sent and how: the part of the provider that knows nothing of the wire.

Built answers are kept by all that they depend on, so that a benchmark that sends one request again and again pays for it once.
"""

from __future__ import annotations

import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import orjson

from scripts.fake_provider.errors import error_body
from scripts.fake_provider.http1 import ID_MARK, Answer, Headers, Request, serial_id
from scripts.fake_provider.knobs import DEFAULT, KnobError, Knobs, KnobTable, Settings, from_headers, read_knobs
from scripts.fake_provider.known_errors import Dialect
from scripts.fake_provider.log import RequestLog, SeenRequest, key_of
from scripts.fake_provider.prompt import PromptError, read_json, read_prompt
from scripts.fake_provider.routes import Route, dialect_of, find_route
from scripts.fake_provider.speech import ID, make_speech
from scripts.fake_provider.wording import JSON_TYPE, Body, whole

CONTROL = "/_fake/"
MAX_KEPT = 256
MAX_KEPT_BYTES = 256 * 1024  # of request and answer; longer ones are built each time

STALE = Knobs(reset=True, all_streams=True)
"""How a request on a connection that is stale by now (knob `stale`) is met."""

DIALECT_HEADERS: dict[Dialect, Headers] = {
    "openai": (("openai-version", "2020-10-01"), ("openai-processing-ms", "4"), ("x-request-id", f"req_{ID}")),
    "responses": (("openai-version", "2020-10-01"), ("openai-processing-ms", "4"), ("x-request-id", f"req_{ID}")),
    "anthropic": (("request-id", f"req_{ID}"), ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000")),
    "gemini": (("Vary", "Origin"), ("X-Content-Type-Options", "nosniff")),
    "ollama": (),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """`seen` is None for the provider's own endpoints. `serial` makes the ids of this answer (see ID_MARK)."""

    answer: Answer
    knobs: Knobs = DEFAULT
    seen: SeenRequest | None = None
    serial: int = 0


class Responder:
    """Answers requests; holds the table of knobs and the log."""

    def __init__(self, table: Mapping[str, Settings] | None = None) -> None:
        self.knobs = KnobTable(table)
        self.log = RequestLog()
        self._kept: OrderedDict[object, tuple[Answer, Knobs]] = OrderedDict()

    def respond(self, request: Request, connection: int, *, stale: bool = False) -> Reply:
        """A request on a stale connection gets no answer and uses up nothing of the table; the log has it."""
        if request.target.startswith(CONTROL):
            return Reply(self._control(request))
        key = key_of(request)
        seen = self.log.add(request, key, connection, time.time())
        if stale:
            return Reply(Answer(0, (), ()), STALE, seen, seen.n)
        answer, knobs = self._answer(request, self.knobs.take(key))
        if knobs.gzip:
            answer = zipped(answer, seen.n)
        return Reply(answer, knobs, seen, seen.n)

    def _answer(self, request: Request, table: Settings) -> tuple[Answer, Knobs]:
        hints = tuple(
            pair for pair in request.headers if pair[0].startswith(("x-fake-", "anthropic-version", "content-encoding", "x-goog-"))
        )
        identity = (request.method, request.target, request.body, hints, orjson.dumps(table) if table else b"")
        kept = self._kept.get(identity)
        if kept is not None:
            self._kept.move_to_end(identity)
            return kept
        built = build(request, table)
        answer = built[0]
        if len(request.body) + len(answer.opening) + sum(map(len, answer.deltas)) <= MAX_KEPT_BYTES:
            self._kept[identity] = built
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return built

    def _control(self, request: Request) -> Answer:
        """GET /_fake/load; GET and DELETE /_fake/log; GET, POST and DELETE /_fake/knobs."""
        try:
            value = self._act(request.method, request.target.removeprefix(CONTROL), request)
        except (KnobError, PromptError) as problem:
            return control_answer(400, {"error": str(problem)})
        return control_answer(404, {"error": "no such endpoint"}) if value is None else control_answer(200, value)

    def _act(self, method: str, name: str, request: Request) -> object:
        match method, name:
            case "GET", "load":
                return self.log.load.as_dict()
            case "GET", "log":
                return [seen.as_dict() for seen in self.log.items()]
            case "DELETE", "log":
                self.log.clear()
            case "GET", "knobs":
                return self.knobs.as_dict()
            case "DELETE", "knobs":
                self.knobs.clear()
            case "POST", "knobs":
                self._set_knobs(read_json(request))
            case _:
                return None
        return {"ok": True}

    def _set_knobs(self, body: dict[str, Any]) -> None:
        settings, times = body.get("knobs", {}), body.get("times")
        if not isinstance(settings, dict) or not isinstance(times, int | None):
            raise KnobError("expected {key: text, knobs: object, times: number or absent}")
        self.knobs.set(str(body.get("key", "*")), settings, times)


def control_answer(status: int, value: object) -> Answer:
    return Answer(status, (("Content-Type", JSON_TYPE),), (orjson.dumps(value),))


def build(request: Request, table: Settings) -> tuple[Answer, Knobs]:
    """The answer to a request and the knobs that it is to be sent with."""
    route = find_route(request)
    try:
        if route is None:
            knobs = read_knobs(table | from_headers(request.headers))
            status = knobs.status if knobs.status >= 400 else 404
            return _refusal(dialect_of(request), status, knobs, f"Unknown request URL: {request.method} {request.target}."), knobs
        return _speak(request, route, table)
    except (KnobError, PromptError) as problem:
        return _refusal(route.dialect if route else dialect_of(request), 400, DEFAULT, str(problem)), DEFAULT


def _speak(request: Request, route: Route, table: Settings) -> tuple[Answer, Knobs]:
    headers = from_headers(request.headers)
    if route.talk is None:
        knobs = read_knobs(table | headers)
        body = route.fixed() if route.fixed else whole({})
    else:
        prompt = read_prompt(read_json(request), route.model, route.stream)
        knobs = read_knobs(table | prompt.settings | headers)
        body = route.talk(prompt, make_speech(prompt, knobs), knobs)
    if knobs.status >= 400:
        return _refusal(route.dialect, knobs.status, knobs), knobs
    return _shape(body, knobs, route.dialect), knobs


def _refusal(dialect: Dialect, status: int, knobs: Knobs, message: str | None = None) -> Answer:
    body = whole(error_body(dialect, status, knobs, message), indent=dialect in ("openai", "gemini"))
    return _shape(body, replace(knobs, status=status), dialect)


def _shape(body: Body, knobs: Knobs, dialect: Dialect) -> Answer:
    closing: Headers = (("Connection", "close"),) if knobs.goaway else ()
    headers = (("Content-Type", body.content_type), *DIALECT_HEADERS[dialect], *knobs.headers, *closing)
    if not body.whole:
        failing = knobs.fail_after is not None and knobs.fail_after < len(body.deltas)
        deltas = body.deltas[: knobs.fail_after] if failing else body.deltas
        return Answer(knobs.status, headers, deltas, body.opening, body.failing if failing else body.closing, whole=False)
    pieces = max(knobs.chunks or 1, (knobs.cut or 0) + 1)
    return Answer(knobs.status, headers, _sliced(body.deltas[0], pieces), whole=knobs.chunks is None)


def _sliced(data: bytes, count: int) -> tuple[bytes, ...]:
    edges = [len(data) * n // count for n in range(count + 1)]
    return tuple(data[start:end] for start, end in pairwise(edges))


def zipped(answer: Answer, serial: int) -> Answer:
    """The answer gzipped, flushed after each chunk as providers do, with its ids already in place."""
    packer = zlib.compressobj(wbits=31)

    def pack(data: bytes) -> bytes:
        return packer.compress(data.replace(ID_MARK, serial_id(serial))) + packer.flush(zlib.Z_SYNC_FLUSH) if data else b""

    opening, deltas = pack(answer.opening), tuple(pack(data) for data in answer.deltas)
    closing = pack(answer.closing) + packer.flush()
    headers = (*answer.headers, ("Content-Encoding", "gzip"))
    return Answer(answer.status, headers, deltas, opening, closing, answer.whole)
