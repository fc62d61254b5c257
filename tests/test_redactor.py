"""Secrets out of what is sent, by policy; what can't be protected is not sent."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable
from typing import Any

import orjson
import pytest
from mitmproxy import http

from addons.redactor import OFF_LOOP_BYTES
from tests.conftest import MakeJourney
from tests.rooms import UPSTREAMS, Journey, answered, base_url_call, call, code, exchange, new_key, records

SECRET = new_key("sk-proj-")


def policy(mode: str, more: str = "") -> str:
    return f"{UPSTREAMS}redaction: {{outgoing: {{mode: {mode}{more}}}}}\n"


def chat(text: str) -> bytes:
    return orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})


def raw_call(body: bytes, encoding: str, url: str | None = None) -> http.HTTPFlow:
    """A body as it is on the wire, whether or not it is what it says."""
    flow = call(url) if url else call()
    flow.request.headers["Content-Encoding"] = encoding
    flow.request.raw_content = body
    return flow


def said(journey: Journey, **more: Any) -> str:
    """What the model is told of a prompt with a secret in it."""
    flow = journey.send(call(body=chat(f"key {SECRET}"), **more))
    return str(orjson.loads(flow.request.content or b"")["messages"][0]["content"])


def test_off_by_default(journey: Journey) -> None:
    """Nothing is touched."""
    assert said(journey) == f"key {SECRET}"


def test_masked(make_journey: MakeJourney) -> None:
    """And noted in the record, once."""
    journey = make_journey(policy("mask"))
    flow = journey.send(call(body=chat(f"key {SECRET}")))
    journey.answer(flow)
    (record,) = records(journey.state)
    assert [(note.where, note.action) for note in record.redactions] == [("request.body.messages[0].content", "mask")]
    assert SECRET.encode() not in (flow.request.content or b"")
    stored = journey.state.digest_record(record)
    assert stored.row["redactions"] == len(stored.redactions) >= 1
    assert SECRET not in repr(stored)


def test_blocked(make_journey: MakeJourney) -> None:
    """403 in the client's dialect, with rule and place; nothing is sent, no key stays in use."""
    journey = make_journey(policy("block"), {"OPENAI_KEY": new_key()})
    flow = journey.send(call(body=chat(f"key {SECRET}")))
    assert code(flow) == (403, "secret_blocked")
    body = answered(flow)[1]["error"]
    assert (body["where"], SECRET in str(body)) == ("request.body.messages[0].content", False)
    (record,) = records(journey.state)
    assert (record.outcome, record.attempts, record.upstream) == ("blocked", [], "openai")
    assert str(record.error).startswith("Turnpike sent nothing to upstream 'openai': a secret (") and "(and 1 more)" not in str(
        record.error
    )
    assert [key.in_flight for key in journey.state.pools["openai"].keys] == [0]


def test_whose_policy_holds(make_journey: MakeJourney) -> None:
    """The upstream's own, then the client's, then the general one."""
    text = policy("mask", ", clients: {trusted-*: off}").replace("hosts: [api.openai.com]", "hosts: [api.openai.com], redaction: {}")
    assert said(make_journey(text), headers={"User-Agent": "trusted-agent/1"}) == f"key {SECRET}"
    assert said(make_journey(text), headers={"User-Agent": "Trusted-Agent/1"}) == f"key {SECRET}"  # in any case
    assert SECRET not in said(make_journey(text), headers={"User-Agent": "other/1"})
    strict = text.replace("redaction: {}}", "redaction: {mode: mask}}").replace("redaction: {},", "redaction: {mode: mask},")
    assert SECRET not in said(make_journey(strict), headers={"User-Agent": "trusted-agent/1"})


def test_placeholders_come_back_in_the_answer(make_journey: MakeJourney) -> None:
    """Cut over two chunks; the client's headers fit; the record holds what the client got, for the masking that follows."""
    journey = make_journey(policy("placeholder"))
    flow = journey.send(call(body=chat(f"key {SECRET}")))
    told = str(orjson.loads(flow.request.content or b"")["messages"][0]["content"])
    assert SECRET not in told
    journey.begin_answer(flow, headers={"Content-Type": "text/event-stream", "Content-Length": "999"})
    assert flow.response
    assert flow.response.headers["transfer-encoding"] == "chunked"
    half = len(told) - 5
    chunks = [
        b'data: {"choices":[{"index":0,"delta":{"content":%b}}]}\n\n' % orjson.dumps(piece) for piece in (told[:half], told[half:])
    ] + [b"data: [DONE]\n\n"]
    assert callable(flow.response.stream)
    got = b"".join(
        piece
        for chunk in (*chunks, b"")
        for piece in [flow.response.stream(chunk)]
        for piece in ([piece] if isinstance(piece, bytes) else piece)
    )
    text = "".join(orjson.loads(line[6:])["choices"][0]["delta"]["content"] for line in got.split(b"\n") if line.startswith(b"data: {"))
    assert text == f"key {SECRET}"
    journey.hook("response", flow)
    (record,) = records(journey.state)
    assert SECRET.encode() not in orjson.dumps(journey.state.digest_record(record).row, default=str)


def test_placeholders_of_one_client_mean_nothing_to_another(make_journey: MakeJourney) -> None:
    """Nor to another machine's."""
    journey = make_journey(policy("placeholder"))
    first = said(journey, headers={"User-Agent": "one/1"})
    other = journey.send(call(body=chat(first), headers={"User-Agent": "two/1"}))
    assert exchange(other).restore is None
    assert said(journey, headers={"User-Agent": "two/1"}) != first


def test_failing_over_to_a_stricter_upstream(make_journey: MakeJourney) -> None:
    """From an upstream that may see all to one that may not: each attempt by its own policy, from the client's own request."""
    text = f"""{UPSTREAMS.replace("hosts: [openrouter.ai]", "hosts: [openrouter.ai], redaction: {mode: mask}")}
routes: [{{match: {{model: gpt-4o}}, to: [{{upstream: openai}}, {{upstream: openrouter}}]}}]
"""
    journey = make_journey(text, {"OPENAI_KEY": new_key(), "OPENROUTER_KEY": new_key()})
    flow = journey.send(call(body=chat(f"key {SECRET}")))
    assert flow.request.raw_content == chat(f"key {SECRET}")
    journey.fail(flow, "refused")
    assert flow.request.host == "openrouter.ai"
    assert flow.request.raw_content == chat(f"key ***{SECRET[-4:]}")


@pytest.mark.parametrize("mode", ["mask", "block", "placeholder"])
def test_what_cannot_be_read_is_refused(mode: str, make_journey: MakeJourney) -> None:
    """413: a broken gzip, a body that is not held, a WebSocket."""
    journey = make_journey(policy(mode))
    assert code(journey.send(raw_call(b"no gzip", "gzip"))) == (413, "body_too_large")
    long = call()
    long.request.stream = True
    journey.hook("requestheaders", long)
    journey.hook("request_stream", long)
    assert code(long) == (413, "body_too_large")
    socket = call("https://api.openai.com/v1/realtime?model=gpt-realtime", headers={"Upgrade": "websocket"}, body=b"")
    socket.request.method = "GET"
    assert code(journey.send(socket)) == (413, "body_too_large")


def test_compressed_bodies_are_cleaned(make_journey: MakeJourney) -> None:
    """As Codex sends them."""
    flow = make_journey(policy("mask")).send(raw_call(gzip.compress(chat(f"key {SECRET}")), "gzip"))
    assert flow.request.raw_content == chat(f"key ***{SECRET[-4:]}")
    assert (
        flow.request.headers["content-length"] == str(len(flow.request.raw_content or b"")) or "content-length" not in flow.request.headers
    )


@pytest.mark.parametrize("step", ["_cleaned", "policy"])
@pytest.mark.parametrize("mode", ["mask", "block", "placeholder"])
def test_a_fault_sends_nothing(step: str, mode: str, make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """502, whatever goes wrong."""
    journey = make_journey(policy(mode))

    def fail(*_: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(journey.redactor, step, fail)
    flow = journey.send(call(body=chat(f"key {SECRET}")))
    assert code(flow) == (502, "internal_error")
    assert SECRET not in str(answered(flow))


@pytest.mark.parametrize("where", ["scanner.find_in", "outgoing.replaced", "placeholders_of"])
def test_a_fault_within_sends_nothing(where: str, make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every step of the cleaning."""
    journey = make_journey(policy("placeholder"))

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError(SECRET)

    if where == "scanner.find_in":
        monkeypatch.setattr(journey.state.outgoing, "find_in", fail)
    elif where == "outgoing.replaced":
        monkeypatch.setattr("addons.core.redaction.outgoing.replaced", fail)
    else:
        monkeypatch.setattr(journey.state, "placeholders_of", fail)
    assert code(journey.send(call(body=chat(f"key {SECRET}")))) == (502, "internal_error")


SIDE = "https://api.openai.com/v1/traces/ingest"


def test_side_calls_are_cleaned_too(make_journey: MakeJourney) -> None:
    """Masked where calls get placeholders, since their answers are not read; refused where calls are blocked or can't be read."""
    flow = make_journey(policy("placeholder")).send(call(SIDE, body=chat(f"key {SECRET}")))
    assert flow.request.raw_content == chat(f"key ***{SECRET[-4:]}")
    assert make_journey(policy("block")).send(call(SIDE, body=chat(f"key {SECRET}"))).response
    unread = make_journey(policy("mask")).send(raw_call(b"x", "rot13", SIDE))
    assert unread.response
    assert unread.response.status_code == 413
    by_base_url = make_journey(policy("mask")).send(base_url_call("/proxy/openai/traces/ingest", body=chat(f"key {SECRET}")))
    assert SECRET.encode() not in (by_base_url.request.raw_content or b"")


async def test_long_bodies_are_looked_at_off_the_loop(make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread, before the attempt is built; what was seen there is remembered."""
    import threading  # noqa: PLC0415 - for this one look

    journey = make_journey(policy("mask"))
    scanner = journey.state.outgoing
    assert scanner
    looked: list[bool] = []
    find = scanner.find_in

    def look(*given: Any) -> Any:
        looked.append(threading.current_thread() is threading.main_thread())
        return find(*given)

    monkeypatch.setattr(scanner, "find_in", look)
    flow = call(body=chat(f"key {SECRET} " + "word " * OFF_LOOP_BYTES))
    journey.hook("requestheaders", flow)
    ahead = journey.redactor.request(flow)
    assert isinstance(ahead, Awaitable)
    await ahead
    journey.failover.request(flow)
    assert looked == [False, True]
    assert SECRET.encode() not in (flow.request.raw_content or b"")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_an_error_that_quotes_the_prompt_is_restored(packed: bool, make_journey: MakeJourney) -> None:
    """Its length fits, also where it came compressed."""
    journey = make_journey(policy("placeholder"))
    flow = journey.send(call(body=chat(f"key {SECRET}")))
    told = orjson.loads(flow.request.content or b"")["messages"][0]["content"]
    body = orjson.dumps({"error": {"message": f"bad value {told}"}})
    headers = {"Content-Encoding": "gzip", "Content-Length": "1"} if packed else {"Content-Length": "1"}
    response = http.Response.make(400, b"", headers)
    response.raw_content = gzip.compress(body) if packed else body
    journey.fail(flow, "status 400", "status", response)
    status, value = answered(flow)
    assert (status, value["error"]["message"]) == (400, f"bad value key {SECRET}")
    assert flow.response
    assert flow.response.headers["content-length"] == str(len(flow.response.raw_content or b""))
