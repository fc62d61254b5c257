"""From what the event loop collected of a call to what is stored of it: `Digest(...)(CallRecord) -> StoredCall`.

    wire bytes ── encodings ──► decoded ── dialects ──► readings ──► the columns of `calls`
                                   └────── redaction ──► bodies, headers, messages, texts

Readings are made of the true bytes (conversations are told apart by them); whatever leaves here was masked before it
was cut. Runs in the writer's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from addons.core.addressing import product_of
from addons.core.call import (
    AnswerReading,
    AttemptRecord,
    CallRecord,
    CapturedBody,
    Message,
    Outcome,
    RequestReading,
    SqlValue,
    StoredBody,
    StoredCall,
)
from addons.core.captured import JSON_LINES, SWITCHING_PROTOCOLS, Answer, credentials_of, decoded, deltas_ms, header, read_answer, ttft_ms
from addons.core.conversations import Conversations, turns
from addons.core.dialects import read_request
from addons.core.estimating import Estimator
from addons.core.failures import failure_told
from addons.core.polls import Polls
from addons.core.pricing import Prices
from addons.core.redaction.ahead import Subject
from addons.core.redaction.cleaner import Cleaner, look_ahead, subject
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.sweep import Body

EXCERPT_CHARACTERS = 300
"""Of `prompt` and `response` (DESIGN §6)."""

ERROR_CHARACTERS = 2000
"""Of `error`: some providers repeat the whole request in their message."""

REMINDER = "<system-reminder>"
"""How parts begin that Claude Code puts before what the user typed; an excerpt of them would be the same for every call."""

TOGETHER_BYTES = 1024 * 1024
"""When so much has been decoded of several calls they are digested, before more is."""

NOT_IN_PRICE_TABLE = frozenset({"anthropic.batches"})
"""Billed at a discount that the table of prices does not have: their cost stays unknown."""

END_IS_MANDATORY = frozenset({"anthropic.messages", "openai.responses", "bedrock.converse"})
"""Dialects whose streams end with an event of their own (message_stop; response.completed, .incomplete or .failed; messageStop). Others
end with `[DONE]` or nothing at all, which compatible servers leave out."""


class _Content(NamedTuple):
    """A body as it is kept: content-decoded, and what it is read as."""

    body: CapturedBody
    content: bytes
    content_type: str | None


class _Call(NamedTuple):
    """A record that was read."""

    record: CallRecord
    cleaner: Cleaner
    sent: bytes
    request: RequestReading
    answer: Answer
    contents: tuple[_Content, _Content]

    @property
    def size(self) -> int:
        """In bytes, decoded: a kilobyte may become megabytes."""
        return sum([len(content.content) for content in self.contents])


class Digest:
    """Parses, prices and masks. `max_body` is in bytes; without `keep_bodies` no body, message or excerpt is kept; without an
    `estimator` usage that was not reported stays unknown."""

    def __init__(
        self,
        redactor: Redactor,
        prices: Prices,
        conversations: Conversations,
        keep_bodies: bool,
        max_body: int,
        *,
        estimator: Estimator | None = None,
        polls: Polls | None = None,
    ) -> None:
        self._redactor = redactor
        self._prices = prices
        self._conversations = conversations
        self._keep_bodies = keep_bodies
        self._max_body = max_body
        self._estimator = estimator
        self._polls = polls or Polls()

    def __call__(self, record: CallRecord) -> StoredCall:
        """What to store of one call. Bodies that cannot be decoded or parsed leave their columns NULL."""
        call = self._read(record)
        self._look_ahead([call])
        return self._stored(call)

    def each(self, records: Sequence[CallRecord]) -> list[StoredCall | Exception]:
        """The same of several calls in order, in less time; what one raised stands in its place."""
        digested: list[StoredCall | Exception] = []
        calls: list[_Call | Exception] = []
        size = 0
        for record in records:
            calls.append(call := _tried(self._read, record))
            size += call.size if isinstance(call, _Call) else 0
            if size > TOGETHER_BYTES:
                digested += self._together(calls)
                calls, size = [], 0
        return digested + self._together(calls)

    def _together(self, calls: Sequence[_Call | Exception]) -> list[StoredCall | Exception]:
        read = [call for call in calls if isinstance(call, _Call)]
        if isinstance(_tried(self._look_ahead, read), Exception):  # which of them is it?
            failed = {id(call): error for call in read if isinstance(error := _tried(self._look_ahead, [call]), Exception)}
            calls = [failed.get(id(call), call) for call in calls]
        return [_tried(self._stored, call) if isinstance(call, _Call) else call for call in calls]

    def _read(self, record: CallRecord) -> _Call:
        cleaner = Cleaner(self._redactor.knowing([*credentials_of(record), *record.secrets]))
        cleaner.notes += record.redactions
        sent = decoded(record.request)
        request = read_request(record.api, record.path, sent)
        answer = read_answer(record, request.stream)
        reading = self._polls.once(record, answer.reading)
        if reading is not answer.reading:
            answer = replace(answer, reading=reading)
        contents = (_content(record, record.request, sent), _content(record, record.response, answer.content))
        return _Call(record, cleaner, sent, request, answer, contents)

    def _stored(self, call: _Call) -> StoredCall:
        record, cleaner, sent, request, answer, contents = call
        row = self._row(record, sent, request, answer, cleaner)
        kept = self._kept(record, contents, request, answer, cleaner) if self._keep_bodies else {}
        if kept:
            asked, answers = kept["messages"][: len(request.messages)], kept["messages"][len(request.messages) :]
            row |= {"prompt": _excerpt(_last_of_user(asked)), "response": _excerpt(answers)}
        row["redactions"] = len(cleaner.notes)
        timings = deltas_ms(record.response, answer)
        return StoredCall(row, _attempts(record, row, answer), deltas_ms=timings, redactions=tuple(cleaner.notes), **kept)

    def _look_ahead(self, calls: Iterable[_Call]) -> None:
        look_ahead([(call.cleaner, self._subject(call)) for call in calls])

    def _subject(self, call: _Call) -> Subject:
        record, _, _, request, answer, contents = call
        texts = _texts(record, request, answer)
        if not self._keep_bodies:
            return subject(texts, (), ())
        whole = [Body(content, kind, body is record.request) for body, content, kind in contents if content and not body.truncated]
        headers = (record.request.headers, record.response.headers)
        return subject(texts, headers, (*request.messages, *answer.reading.messages), whole)

    def _row(self, record: CallRecord, sent: bytes, request: RequestReading, answer: Answer, cleaner: Cleaner) -> dict[str, SqlValue]:
        """The columns in the order of DESIGN §6; the caller sets `redactions`, `prompt` and `response`."""
        model = record.asked_model or request.model
        served = record.served_model or (model if record.attempts else None)
        said = answer.reading
        return {
            **_identity(record, self._conversation(record, request, said, cleaner), cleaner),
            "provider": record.provider,
            "upstream": record.upstream,
            "api": record.api,
            "model": cleaner.text(model, "request.model"),
            "served_model": cleaner.text(served, "request.model"),
            "response_model": cleaner.text(said.model, "response.model"),
            "route": record.route,
            "decision": cleaner.text(record.decision, "decision"),
            "stream": int(request.stream or answer.streamed),
            "status": record.status,
            **_ending(record, answer, cleaner),
            **self._usage(record, sent, request, answer, (said.model, served, model)),
            "key_hint": record.key_hint,
            "attempts": len(record.attempts),
            "redactions": 0,
            "n_messages": len(request.messages),
            "n_tool_calls": sum([part.kind == "tool_call" for message in said.messages for part in message.parts]),
            "request_bytes": record.request.size,
            "response_bytes": record.response.size,
            "connect_ms": record.connect_ms,
            "ttfb_ms": record.ttfb_ms,
            "ttft_ms": ttft_ms(record.response, answer),
            "duration_ms": record.duration_ms,
            "prompt": None,
            "response": None,
        }

    def _conversation(self, record: CallRecord, request: RequestReading, answer: AnswerReading, cleaner: Cleaner) -> str:
        session = cleaner.text(record.session or request.session, "request.session")
        client = record.client or record.user_agent
        said = turns(request.messages)
        found = session or self._conversations.find_after(client, said, request.previous) or record.id
        for choice in answer.messages:  # any of several choices may be the one that the client goes on with
            self._conversations.learn_after(found, client, said, [choice])
        if answer.id:
            self._conversations.learn_name(found, client, answer.id)
        return found

    def _usage(
        self, record: CallRecord, sent: bytes, request: RequestReading, answer: Answer, models: tuple[str | None, ...]
    ) -> dict[str, SqlValue]:
        usage, counted_by = answer.reading.usage, "reported"
        model = next(filter(None, models), None)
        if self._estimator and (estimated := self._estimator(record, model, request, sent, answer)):
            usage, counted_by = estimated, "estimated"
        cost, source = usage.cost_usd, "reported"
        half = usage.output_tokens is None and bool(answer.reading.messages)  # a price of the input alone would be too low
        if cost is None and record.api not in NOT_IN_PRICE_TABLE and not half:
            cost, source = self._prices.cost(record.provider, models, usage, record.started_ms), "priced"
        return {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "tokens_source": counted_by if usage.known else None,
            "cost_usd": cost,
            "cost_source": None if cost is None else source,
        }

    def _kept(
        self, record: CallRecord, contents: Sequence[_Content], request: RequestReading, answer: Answer, cleaner: Cleaner
    ) -> dict[str, Any]:
        """The fields of StoredCall that hold content, masked: bodies, messages, answers."""
        bodies = [self._body("request", contents[0], cleaner)]
        if record.status is not None or record.response.headers or record.response.size:
            bodies.append(self._body("response", contents[1], cleaner))
        asked = cleaner.messages(request.messages, "request.messages", "request.body")
        answers = cleaner.messages(answer.reading.messages, "response.messages", "response.body")
        return {"bodies": tuple(bodies), "messages": (*asked, *answers), "answers": len(answers)}

    def _body(self, which: Literal["request", "response"], content: _Content, cleaner: Cleaner) -> StoredBody:
        body, decoded_content, content_type = content
        clean = cleaner.body(decoded_content, content_type, f"{which}.body", body.truncated)
        return StoredBody(
            kind=which,
            headers=cleaner.headers(body.headers, f"{which}.header"),
            content=clean[: self._max_body],
            encoding=header(body.headers, "content-encoding"),
            size=body.size,
            truncated=body.truncated or len(clean) > self._max_body,
            redacted=clean != decoded_content,
        )


def _tried[Asked, Answer](do: Callable[[Asked], Answer], what: Asked) -> Answer | Exception:
    try:
        return do(what)
    except Exception as error:
        return error


def _content(record: CallRecord, body: CapturedBody, content: bytes) -> _Content:
    """A WebSocket's messages are read as lines, since a secret may be cut over several."""
    kind = JSON_LINES if record.status == SWITCHING_PROTOCOLS else header(body.headers, "content-type")
    return _Content(body, content, kind)


def _texts(record: CallRecord, request: RequestReading, answer: Answer) -> list[str | None]:
    """The texts of columns, so that they are looked through in one go."""
    said = answer.reading
    asked = (record.user_agent, record.client, record.project, record.tag, record.path, record.session or request.session)
    models = (record.asked_model, request.model, record.served_model, said.model)
    return [*asked, *models, record.decision, record.error_type, record.error, said.error_type, said.error]


def _identity(record: CallRecord, conversation_id: str, cleaner: Cleaner) -> dict[str, SqlValue]:
    user_agent = cleaner.text(record.user_agent, "request.header.user-agent")
    return {
        "id": record.id,
        "started_at": f"{_second(record.started_ms // 1000)}.{record.started_ms % 1000:03d}Z",
        "ts_ms": record.started_ms,
        "conversation_id": conversation_id,
        "replay_of": record.replay_of,
        "client": cleaner.text(record.client, "client") or product_of(user_agent),
        "project": cleaner.text(record.project, "project"),
        "tag": cleaner.text(record.tag, "tag"),
        "user_agent": user_agent,
        "method": record.method,
        "host": record.host,
        "path": cleaner.url(record.path, "request.path"),
    }


@lru_cache(64)
def _second(unix_s: int) -> str:
    """ISO 8601, without its zone: UTC."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat().removesuffix("+00:00")


def _ending(record: CallRecord, answer: Answer, cleaner: Cleaner) -> dict[str, SqlValue]:
    """How the call ended; the record's own word about an error goes before the answer's."""
    kind, message = record.error_type, record.error
    if kind is None and message is None:
        kind, message = answer.reading.error_type, answer.reading.error
    return {
        "outcome": _outcome(record, answer),
        "error_type": cleaner.text(kind, "error", ERROR_CHARACTERS),
        "error": cleaner.text(message, "error", ERROR_CHARACTERS),
        "finish_reason": answer.reading.finish_reason,
    }


def _outcome(record: CallRecord, answer: Answer) -> Outcome:
    """An answer whose bytes ended well may still have broken off: without its dialect's end, or with an error event."""
    if record.outcome != "ok" or not answer.streamed:
        return record.outcome
    if answer.reading.error_type or answer.reading.error:
        return "error" if answer.reading.first_content is None else "partial"
    cut = answer.whole and not answer.reading.finished and record.api in END_IS_MANDATORY
    return "partial" if cut else "ok"


def _last_of_user(messages: Sequence[Message]) -> list[Message]:
    return next(([message] for message in reversed(messages) if message.role == "user" and _text_of([message])), [])


def _attempts(record: CallRecord, row: dict[str, SqlValue], answer: Answer) -> tuple[AttemptRecord, ...]:
    """With what only the reading told: the model that was asked for, and of the last one what its status does not tell."""
    served = row["served_model"]
    attempts = [_copied(attempt) for attempt in record.attempts]
    for attempt in attempts:
        if served and attempt.model is None:
            attempt.model = str(served)
    if attempts:
        said = answer.reading
        attempts[-1].failure = failure_told(attempts[-1].failure, str(row["outcome"]), f"{said.error_type} {said.error}")
    return tuple(attempts)


def _copied(a: AttemptRecord) -> AttemptRecord:
    """Written out, since `copy` and `replace` take ten times as long, and every call has one."""
    return AttemptRecord(a.n, a.upstream, a.host, a.model, a.key_hint, a.status, a.failure, a.wait_ms, a.duration_ms)


def _text_of(messages: Iterable[Message]) -> str:
    texts = [part.text for message in messages for part in message.parts if part.kind in {"text", "refusal"} and part.text]
    return "\n".join([text for text in texts if not text.startswith(REMINDER)] or texts)


def _excerpt(messages: Iterable[Message]) -> str | None:
    """The beginning of what the (already masked) messages say."""
    return _text_of(messages)[:EXCERPT_CHARACTERS] or None
