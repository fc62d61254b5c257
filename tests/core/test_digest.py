"""What is stored of a call: every column, masked content, and the outcome as it truly was."""

from __future__ import annotations

import gzip
import json
import random
import string
from collections.abc import Sequence
from dataclasses import astuple
from itertools import count
from typing import Any

import pytest

from addons.core.call import AttemptRecord, CallRecord, CapturedBody, Headers, StoredCall
from addons.core.conversations import Conversations
from addons.core.digest import Digest, _copied
from addons.core.polls import Polls
from addons.core.pricing import Prices
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.ruleset import Rule
from addons.rulefiles import read_rules
from tests.core.redaction.made import planted

JSON: Headers = (("content-type", "application/json"),)
SSE: Headers = (("content-type", "text/event-stream"),)
KEY = "sk-" + "".join(random.Random(2).choices(string.ascii_letters + string.digits, k=38)) + "8w"
EXACT = "our own pool key / 1"

COLUMNS = (
    "id started_at ts_ms conversation_id replay_of client project tag user_agent method host path provider upstream api model "
    "served_model response_model route decision stream status outcome error_type error finish_reason input_tokens output_tokens "
    "cache_read_tokens cache_write_tokens reasoning_tokens tokens_source cost_usd cost_source key_hint attempts redactions n_messages "
    "n_tool_calls request_bytes response_bytes connect_ms ttfb_ms ttft_ms duration_ms prompt response"
)


def digest(keep_bodies: bool = True, max_body: int = 1 << 20) -> Digest:
    return Digest(Redactor([EXACT]), Prices({}), Conversations(100), keep_bodies, max_body)


def body(content: bytes | dict[str, Any] | list[bytes], headers: Headers = JSON) -> CapturedBody:
    """One chunk, or several that came at 10, 20, 30 … ms."""
    chunks = content if isinstance(content, list) else [json.dumps(content).encode() if isinstance(content, dict) else content]
    whole = b"".join(chunks)
    return CapturedBody(headers, whole, len(whole), chunks=[(10.0 * n, len(chunk)) for n, chunk in enumerate(chunks, 1)])


def chat(text: str = "hello", answer: str = "hi", **more: Any) -> CallRecord:
    """A plain OpenAI call that went well; `more` are fields of the record."""
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    response = {
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 0}},
    }
    fields: dict[str, Any] = {
        "id": "01A",
        "started_ms": 1_760_000_000_123,
        "method": "POST",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "api": "openai.chat",
        "provider": "openai",
        "upstream": "main",
        "user_agent": "OpenAI/Python 2.1",
        "status": 200,
        "key_hint": "wxyz",
        "attempts": [AttemptRecord(1, "main", "api.openai.com", "gpt-4o", "wxyz", 200)],
        "request": body(request),
        "response": body(response),
        "connect_ms": 1.0,
        "ttfb_ms": 5.0,
        "duration_ms": 12.0,
    }
    return CallRecord(**(fields | more))


def messages_stream(*, ended: bool = True, error: bool = False) -> list[bytes]:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": "claude-sonnet-4-5", "usage": {"input_tokens": 10, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    ]
    if error:
        events.append({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    if ended:
        events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}})
        events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def claude(chunks: list[bytes], **more: Any) -> CallRecord:
    request = body({"model": "claude-sonnet-4-5", "stream": True, "messages": [{"role": "user", "content": "hello"}]})
    fields: dict[str, Any] = {"api": "anthropic.messages", "path": "/v1/messages?beta=true", "provider": "anthropic", "request": request}
    return chat(**(fields | {"response": body(chunks, SSE)} | more))


def test_row_has_every_column() -> None:
    """The columns of DESIGN §6 in their order, without those that the store itself keeps."""
    assert " ".join(digest()(chat()).row) == COLUMNS


def test_plain_call() -> None:
    """What the record and the bodies say stands in the row."""
    stored = digest()(chat())
    expected = {
        "id": "01A",
        "started_at": "2025-10-09T08:53:20.123Z",
        "ts_ms": 1_760_000_000_123,
        "client": "OpenAI",
        "conversation_id": "01A",
        "model": "gpt-4o",
        "served_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "stream": 0,
        "status": 200,
        "outcome": "ok",
        "error": None,
        "finish_reason": "stop",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_write_tokens": None,
        "tokens_source": "reported",
        "cost_source": "priced",
        "key_hint": "wxyz",
        "attempts": 1,
        "redactions": 0,
        "n_messages": 1,
        "n_tool_calls": 0,
        "ttft_ms": None,
        "prompt": "hello",
        "response": "hi",
    }
    assert {name: stored.row[name] for name in expected} == expected
    assert stored.row["cost_usd"] == pytest.approx(0.0035)
    assert stored.row["request_bytes"] == len(chat().request.content)
    assert [message.role for message in stored.messages] == ["user", "assistant"] and stored.answers == 1
    assert stored.deltas_ms == () and stored.attempts == tuple(chat().attempts)


def test_bodies_without_findings_keep_their_bytes() -> None:
    """Stored as they were sent, and said to be."""
    record = chat()
    request, response = digest()(record).bodies
    assert (request.kind, request.content, request.redacted, request.truncated) == ("request", record.request.content, False, False)
    assert (response.kind, response.content, response.encoding) == ("response", record.response.content, None)


def secrets_of(stored: StoredCall) -> list[str]:
    return [secret for secret in (KEY, EXACT, EXACT.replace("/", "\\/")) if secret in repr(stored)]


def test_no_secret_is_left_anywhere() -> None:
    """Headers, path, bodies, messages, excerpts, error, tag, session, model: whatever holds one is masked, and counted."""
    record = chat(
        text=f"use {KEY} or {EXACT}",
        answer="x" * 290 + " " + KEY,
        path=f"/v1/chat/completions?api_key={KEY}",
        tag=f"tag {KEY}",
        project=EXACT,
        session=f"session {KEY}",
        user_agent=f"agent {KEY}",
        error=f"bad key {KEY}",
        decision=json.dumps([EXACT]),
        asked_model=KEY,
    )
    record.request.headers = (*JSON, ("authorization", f"Bearer {KEY}"), ("cookie", f"a={KEY}"))
    stored = digest()(record)
    assert secrets_of(stored) == []
    assert KEY[:9] not in repr(stored)
    assert stored.row["redactions"] == len(stored.redactions) > 8
    assert {"request.body", "response.body", "request.path"} <= {note.where for note in stored.redactions}
    assert [stored_body.redacted for stored_body in stored.bodies] == [True, True]
    json.loads(stored.bodies[0].content)


def test_a_credential_in_its_own_header_is_masked_without_a_note() -> None:
    """Every call has one; notes are for what should be looked at."""
    given = chat()
    given.request.headers = (("Authorization", f"Bearer {KEY}"), ("X-Custom", f"see {KEY}"))
    stored = digest()(given)
    assert KEY not in repr(stored)
    assert [note.where for note in stored.redactions] == ["request.header.x-custom"]
    assert stored.row["redactions"] == 1


def test_an_attempt_tells_the_model_that_was_sent() -> None:
    """Also where no route gave another name."""
    given = chat(attempts=[AttemptRecord(1, "main", "h"), AttemptRecord(2, "openrouter", "h", "openai/gpt-4o")])
    assert [attempt.model for attempt in digest()(given).attempts] == ["gpt-4o", "openai/gpt-4o"]


def test_excerpt_is_masked_before_it_is_cut() -> None:
    """300 characters of an answer whose secret the cut goes through show nothing of its beginning."""
    row = digest()(chat(answer="x" * 290 + " " + KEY)).row
    assert row["response"] == "x" * 290 + f" ***{KEY[-4:]}"
    assert digest()(chat(answer="y" * 400)).row["response"] == "y" * 300


def test_secret_cut_over_events_is_gone() -> None:
    """A streamed answer that spells a secret out in pieces holds it neither in its body nor in its messages."""
    events = [{"choices": [{"index": 0, "delta": {"content": KEY[at : at + 6]}}]} for at in range(0, len(KEY), 6)]
    chunks = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    stored = digest()(chat(response=body(chunks, SSE)))
    assert KEY not in repr(stored) and KEY[12:18] not in repr(stored)
    assert stored.row["response"] == f"***{KEY[-4:]}"


def test_compressed_bodies_are_stored_decoded() -> None:
    """Read and masked without their encoding, which the row of the body names; sizes are the wire's."""
    packed = gzip.compress(json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": KEY}]}).encode())
    request = body(packed, (*JSON, ("Content-Encoding", "gzip")))
    stored = digest()(chat(request=request))
    assert secrets_of(stored) == [] and b"messages" in stored.bodies[0].content
    assert (stored.bodies[0].encoding, stored.bodies[0].size, stored.row["model"]) == ("gzip", len(packed), "gpt-4o")


def test_long_bodies_are_cut_after_masking() -> None:
    """At most max_body bytes are kept, marked as cut; a secret across the cut leaves no beginning."""
    stored = digest(max_body=60)(chat(text="x" * 5 + " " + KEY))
    assert stored.bodies[0].truncated and len(stored.bodies[0].content) == 60
    assert KEY[:8].encode() not in stored.bodies[0].content


def test_captured_cut_leaves_no_beginning() -> None:
    """A body that came cut through a configured key does not hold its first half."""
    whole = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": EXACT}]}).encode()
    at = whole.index(EXACT.encode()) + 12
    stored = digest()(chat(request=CapturedBody(JSON, whole[:at], len(whole))))
    assert stored.bodies[0].truncated and EXACT[:8].encode() not in stored.bodies[0].content


def test_without_bodies_only_the_row_is_kept() -> None:
    """No body, message or excerpt; tokens, cost and timings stay."""
    stored = digest(keep_bodies=False)(chat())
    assert (stored.bodies, stored.messages, stored.row["prompt"], stored.row["response"]) == ((), (), None, None)
    assert stored.row["input_tokens"] == 1000 and stored.row["cost_usd"]


def test_streamed_call() -> None:
    """Timings of a stream, its text put together, and its outcome."""
    chunks = messages_stream()
    stored = digest()(claude(chunks))
    assert stored.row["outcome"] == "ok" and stored.row["stream"] == 1 and stored.row["response"] == "hi"
    assert stored.row["ttft_ms"] == 30 and stored.deltas_ms == (10.0,) * len(chunks)
    assert (stored.row["input_tokens"], stored.row["output_tokens"], stored.row["finish_reason"]) == (10, 5, "end_turn")


@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        (claude(messages_stream(ended=False)), "partial"),
        (claude(messages_stream(ended=False, error=True)), "partial"),
        (claude(messages_stream(ended=False)[:1] + messages_stream(ended=False, error=True)[-1:]), "error"),
        (claude(messages_stream(ended=False), outcome="cancelled"), "cancelled"),
        (chat(response=body([b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'], SSE)), "ok"),
    ],
    ids=["cut", "error after content", "error before content", "client left", "no [DONE]"],
)
def test_outcome_of_streams(record: CallRecord, outcome: str) -> None:
    """Bytes that ended well may hold an answer that did not; where the dialect need not mark its end none is missed."""
    assert digest()(record).row["outcome"] == outcome


def test_cut_capture_says_nothing_about_the_end() -> None:
    """A compressed stream longer than what was kept may have ended well."""
    packed = gzip.compress(b"".join(messages_stream()))
    response = CapturedBody((*SSE, ("content-encoding", "gzip")), packed[:60], len(packed) + 10_000, b"xx", [(10, len(packed) + 10_000)])
    assert digest()(claude([], response=response)).row["outcome"] == "ok"


def test_error_answers() -> None:
    """The answer's own error fills what the record leaves open, and the record's word goes first."""
    refused = body({"error": {"message": "no such model", "type": "invalid_request_error"}})
    row = digest()(chat(status=404, outcome="error", response=refused)).row
    assert (row["outcome"], row["error_type"], row["error"]) == ("error", "invalid_request_error", "no such model")
    row = digest()(chat(status=404, outcome="error", response=refused, error_type="all_keys_exhausted", error="ours")).row
    assert (row["error_type"], row["error"]) == ("all_keys_exhausted", "ours")


def test_unanswered_call() -> None:
    """A refused connection has a row with a request, no response, no tokens and no cost."""
    stored = digest()(chat(status=None, outcome="error", error_type="upstream_unreachable", response=CapturedBody()))
    assert [stored_body.kind for stored_body in stored.bodies] == ["request"]
    assert [stored.row[name] for name in ("status", "tokens_source", "cost_usd", "cost_source", "response")] == [None] * 5


def test_blocked_call_sent_nothing() -> None:
    """Without an attempt there is no served model."""
    assert digest()(chat(status=403, outcome="blocked", attempts=[])).row["served_model"] is None


def test_reported_cost_is_believed() -> None:
    """A provider's own figure (OpenRouter) goes before any price."""
    response = body({"model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 5, "cost": 0.25}})
    row = digest()(chat(provider="openrouter", response=response)).row
    assert (row["cost_usd"], row["cost_source"]) == (0.25, "reported")


def test_conversations_are_followed() -> None:
    """The second turn has the first one's conversation; a session names it outright."""
    build = digest()
    first = build(chat()).row["conversation_id"]
    history = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "more"}]
    second = chat(id="01B", request=body({"model": "gpt-4o", "messages": history}))
    assert build(second).row["conversation_id"] == first == "01A"
    assert build(chat(id="01C")).row["conversation_id"] == "01C"
    assert build(chat(id="01D", session="mine")).row["conversation_id"] == "mine"


def test_answers_are_followed_by_name() -> None:
    """Where the provider keeps the history, and only what is new is sent."""
    build = digest()
    said = {
        "id": "resp_1",
        "model": "m",
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
    }
    first = chat(api="openai.responses", path="/v1/responses", request=body({"model": "m", "input": "hello"}), response=body(said))
    assert build(first).row["conversation_id"] == "01A"
    goes_on = body({"model": "m", "input": "more", "previous_response_id": "resp_1"})
    second = chat(id="01B", api="openai.responses", path="/v1/responses", request=goes_on, response=body({**said, "id": "resp_2"}))
    assert build(second).row["conversation_id"] == "01A"


def test_a_secret_cut_over_messages_of_a_websocket_is_masked() -> None:
    """In what was sent and in what came: joined, the stored pieces hold nothing."""
    secret = "gh" + "p_" + "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=36))
    pieces = [secret[:6], secret[6:20], secret[20:]]
    lines = b"".join(json.dumps({"type": "response.output_text.delta", "delta": piece}).encode() + b"\n" for piece in pieces)
    session = CapturedBody(content=lines, size=len(lines))
    stored = digest()(chat(api="openai.realtime", status=101, request=session, response=session))
    for kept in stored.bodies:
        joined = "".join(json.loads(line)["delta"] for line in kept.content.splitlines())
        assert joined.startswith("***") and len(joined) < 10


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"{", b"[" * 5000, b'{"messages": 5}', b"null", b'"text"', b'{"messages":[{"role":1}]}']
)
@pytest.mark.parametrize(
    "api", ["openai.chat", "openai.responses", "anthropic.messages", "gemini.generate", "ollama.chat", "other", "unheard.of"]
)
def test_odd_bodies_are_no_error(api: str, content: bytes) -> None:
    """Whatever the bytes are, there is a row."""
    for headers in (JSON, SSE, ()):
        stored = digest()(chat(api=api, request=body(content, headers), response=body(content, headers)))
        assert stored.row["id"] == "01A" and len(stored.bodies) == 2


def test_embeddings() -> None:
    """One call, its input tokens and their price."""
    response = body(
        {
            "model": "text-embedding-3-small",
            "data": [{"embedding": [0.1]}],
            "usage": {"prompt_tokens": 1_000_000, "total_tokens": 1_000_000},
        }
    )
    record = chat(api="openai.embeddings", request=body({"model": "text-embedding-3-small", "input": "hello"}), response=response)
    row = digest()(record).row
    assert row["input_tokens"] == 1_000_000 and row["cost_usd"] == pytest.approx(0.02)


def test_the_excerpt_is_what_the_user_typed() -> None:
    """Claude Code's reminders stand before it in the same message; they are passed over, unless there is nothing else."""
    content = [{"type": "text", "text": "<system-reminder>\ntools\n</system-reminder>"}, {"type": "text", "text": "say hello"}]
    given = chat(request=body({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}))
    assert digest()(given).row["prompt"] == "say hello"
    given = chat(request=body({"model": "gpt-4o", "messages": [{"role": "user", "content": content[:1]}]}))
    assert str(digest()(given).row["prompt"]).startswith("<system-reminder>")


def test_a_credential_of_the_client_is_not_stored_when_the_upstream_echoes_it() -> None:
    """Also one without a known shape, from a header or the query."""
    key = "plain" + "".join(random.Random(9).choices(string.ascii_lowercase, k=20))
    given = chat(
        status=401, outcome="error", path=f"/v1/chat/completions?key={key}x", response=body({"error": {"message": f"bad {key} and {key}x"}})
    )
    given.request.headers = (*JSON, ("Authorization", f"Bearer {key}"))
    assert key not in repr(digest()(given))


def test_an_error_is_masked_before_it_is_cut() -> None:
    """A key at the place of the cut is masked whole."""
    for length in range(1960, 2001, 5):
        error = "x" * length + " " + KEY
        stored = digest()(chat(status=400, outcome="error", response=body({"error": {"message": error, "type": "t"}})))
        assert KEY[:9] not in str(stored.row["error"])


def test_a_polled_response_counts_once() -> None:
    """Made in the background without usage, counted at the first look after its end; also after a change of the configuration."""
    polls, numbers = Polls(), count()

    def look(path: str, status: str, usage: dict[str, int] | None) -> tuple[Any, Any]:
        answer: dict[str, Any] = {"object": "response", "id": "resp_1", "model": "gpt-4o", "status": status, "usage": usage, "output": []}
        record = chat(id=str(next(numbers)), api="openai.responses", path=path, request=CapturedBody(), response=body(answer))
        row = Digest(Redactor([]), Prices({}), Conversations(100), True, 1 << 20, polls=polls)(record).row
        return row["input_tokens"], row["tokens_source"]

    used = {"input_tokens": 10, "output_tokens": 5}
    assert look("/v1/responses", "queued", None) == (None, None)
    assert look("/v1/responses/resp_1", "in_progress", None) == (None, None)
    assert look("/v1/responses/resp_1", "completed", used) == (10, "reported")
    assert look("/v1/responses/resp_1", "completed", used) == (None, None)


def test_counts_in_headers_are_usage() -> None:
    """Bedrock, for models whose answers count nothing themselves."""
    headers: Headers = (*JSON, ("X-Amzn-Bedrock-Input-Token-Count", "6"), ("X-Amzn-Bedrock-Output-Token-Count", "10"))
    record = chat(api="bedrock.invoke", path="/model/mistral/invoke", response=body({"outputs": [{"text": "hi"}]}, headers))
    row = digest()(record).row
    assert (row["input_tokens"], row["output_tokens"], row["tokens_source"], row["response"]) == (6, 10, "reported", "hi")


def test_results_of_a_batch_have_no_price() -> None:
    """They are billed at a discount that the table does not have; what was used is known all the same."""
    usage = {"input_tokens": 20, "output_tokens": 4}
    message = {"model": "claude-haiku-4-5", "type": "message", "content": [{"type": "text", "text": "4"}], "usage": usage}
    answer = {"custom_id": "0", "result": {"type": "succeeded", "message": message}}
    path = "/v1/messages/batches/b/results"
    row = digest()(chat(api="anthropic.batches", provider="anthropic", path=path, response=body(answer))).row
    assert (row["input_tokens"], row["tokens_source"], row["cost_usd"], row["cost_source"]) == (20, "reported", None, None)


def test_half_a_usage_has_no_cost() -> None:
    """Where something was written and nobody says how much, the price of the input alone would be too low."""
    said = {"role": "assistant", "content": "hi"}
    answer = {"model": "gpt-4o", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}], "usage": {"prompt_tokens": 10}}
    row = digest()(chat(response=body(answer))).row
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"], row["cost_source"]) == (10, None, None, None)


def planted_record(number: int, rng: random.Random, rules: Sequence[Rule]) -> CallRecord:
    """A call with a secret somewhere, or nowhere."""
    secret = planted(rng.choice(rules), rng)
    plain = " ".join(rng.choices(("the", "token", "is", "key", "a1b2", "https://host/path", "password", "and", "so"), k=rng.randint(0, 60)))
    dirty = f"{plain} {rng.choice((secret, secret, KEY, EXACT))} {plain}"
    asked, said, where = plain, plain, rng.choice(("asked", "said", "both", "header", "path", "arguments", "error", "nowhere"))
    asked = dirty if where in ("asked", "both") else json.dumps({"command": dirty}) if where == "arguments" else asked
    said = dirty if where in ("said", "both") else said
    headers = (("X-Note", dirty.replace("\n", " ")), ("Via", dirty)) if where == "header" else ()
    fields: dict[str, Any] = {"id": str(number), "error": dirty if where == "error" else None}
    fields |= {"path": f"/v1/x?a={dirty}&key={plain}"} if where == "path" else {}
    if number % 2:
        size = rng.randint(1, 40)
        pieces = [said[at : at + size] for at in range(0, len(said), size)]
        events = [{"id": "c", "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        chunks = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"]
        fields["response"] = body(chunks, (*SSE, *headers))
    record = chat(asked, said, **fields)
    record.request.headers += headers
    return record


def strange_text(rng: random.Random) -> str:
    """What a text may be besides words: with a credential or without, as itself, and as what is read in another way."""
    said = rng.choice((KEY, KEY, "nothing"))
    escaped = "".join(f"\\u{ord(character):04x}" for character in said[:9]) + said[9:]
    halves = f'data: {{"a": "{said[:9]}"}}\n\ndata: {{"a": "{said[9:]}"}}\n\n'
    image = f"data:image/png;base64,AAAA{said}"
    return rng.choice(
        (said, f"\ud800{said}", f'["{escaped}"]', f'\ufeff"{escaped}"', f'{{"a": "{escaped}"', halves, image, "\0".join(said) + "\0")
    )


def strange_record(number: int, rng: random.Random) -> CallRecord:
    """A call of strange texts: in parts with data, in headers, in JSON that is cut over events, in lines of JSON strings."""
    part = {"type": "image_url", "image_url": {"url": f"https://host/i.png?note={strange_text(rng)}"}}
    content = rng.choice((strange_text(rng), [{"type": "text", "text": strange_text(rng)}, part], [part]))
    asked = {"model": "m", "messages": [{"role": "user", "content": content}], "item_id": rng.choice(("a", f"see+{KEY}"))}
    said, size = strange_text(rng), rng.randint(1, 40)
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    events = [f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': piece}}]})}\n\n".encode() for piece in pieces]
    line = said.encode("utf-8", "surrogatepass")
    kinds = (
        SSE,
        JSON,
        *(((("content-type", kind)),) for kind in ("application/x-ndjson", "text/plain", "application/x-www-form-urlencoded")),
    )
    headers = tuple((name, strange_text(rng).replace("\n", " ")) for name in rng.sample(("Via", "User-Agent", "X-Note"), rng.randint(0, 2)))
    response = rng.choice((body(events, (*SSE, *headers)), body(line, (*rng.choice(kinds), *headers))))
    return chat(id=str(number), request=body(asked), response=response, error=rng.choice((None, strange_text(rng))))


@pytest.mark.parametrize("keep_bodies", [True, False])
def test_looking_ahead_changes_nothing(keep_bodies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored is the same as where each thing is looked at by itself: rows, bodies, messages, notes."""
    rng = random.Random(4)
    rules = [rule for rule in read_rules(["builtin"]) if "stored" in rule.profiles]
    records = [strange_record(number, rng) if number % 3 else planted_record(number, rng, rules) for number in range(600)]
    ahead = list(map(digest(keep_bodies), records))
    together = digest(keep_bodies).each(records)
    monkeypatch.setattr(Digest, "_look_ahead", lambda *_: None)
    apart = list(map(digest(keep_bodies), records))
    for record, one, among, other in zip(records, ahead, together, apart, strict=True):
        assert one == other and among == other, record
    assert 100 < sum(bool(stored.redactions) for stored in ahead) < 550


def odd_record(number: int, rng: random.Random, earlier: Sequence[CallRecord]) -> CallRecord:
    """A call whose bodies are not what they seem, one that was there before, or one whose digest raises."""
    text = rng.choice((f"my key is {KEY}", "nothing", 'a "quoted', '{"a": "b"}', f'{{"password": "{KEY}"}}', "\ud800", "x" * 70_000))
    content = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": text}], "item_id": rng.choice(("a", f"see+{KEY}"))}
    ).encode()
    cut = content[: rng.randint(0, len(content))]
    bodies = (cut, content.replace(b'": ', b'": x'), content + b" x", b"nu", b'{"a":ll}', content.decode().encode("utf-16"), b'"' * 3, b"")
    kind = rng.choice((JSON, SSE, (("content-type", "application/x-www-form-urlencoded"),)))
    raising: tuple[dict[str, Any], ...] = ({"error": 5}, {"request": None}, {"decision": 5})
    record = chat(id=str(number), **rng.choice(({}, {}, *raising, {"session": f"s {KEY}"}, {"secrets": ["quoted"]})))
    if record.request and rng.random() < 0.5:
        record.request = body(rng.choice(bodies), kind)
    record.response = body(rng.choice((content, *bodies)), kind)
    return rng.choice(earlier) if earlier and rng.random() < 0.2 else record


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("keep_bodies", [True, False])
def test_several_calls_at_once_are_digested_like_one_after_the_other(seed: int, keep_bodies: bool) -> None:
    """To the last byte, whatever stands in the others of a group; one that raises costs nobody else anything."""
    rng = random.Random(seed)
    rules = [rule for rule in read_rules(["builtin"]) if "stored" in rule.profiles]
    records: list[CallRecord] = []
    for number in range(250):
        made = planted_record(number, rng, rules) if rng.random() < 0.6 else odd_record(number, rng, records)
        if made.request and made not in records and rng.random() < 0.3:
            made.request.headers += (("Authorization", f"Bearer {rng.choice(('clients-own-1', 'clients-own-2', 'nothing'))}"),)
        records.append(made)
    one, many = digest(keep_bodies), digest(keep_bodies)
    expected: list[StoredCall | type] = []
    for record in records:
        try:
            expected.append(one(record))
        except Exception as error:
            expected.append(type(error))
    got: list[StoredCall | Exception] = []
    while len(got) < len(records):
        got += many.each(records[len(got) : len(got) + rng.choice((1, 2, 5, 16, 40))])
    for record, alone, together in zip(records, expected, got, strict=True):
        assert (type(together) if isinstance(together, Exception) else together) == alone, record
    assert 5 < sum(isinstance(stored, Exception) for stored in got) < 50
    assert sum(isinstance(stored, StoredCall) and bool(stored.redactions) for stored in got) > 30


def test_not_much_more_is_decoded_than_is_digested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small bodies may become long ones: they wait for each other up to a bound only."""
    sizes: list[int] = []
    together = Digest._together

    def noted(self: Digest, calls: Sequence[Any]) -> Any:
        sizes.append(len(calls))
        return together(self, calls)

    monkeypatch.setattr(Digest, "_together", noted)
    packed = gzip.compress(json.dumps({"text": "a b " * 100_000}).encode())
    records = [chat(id=str(n), response=body(packed, (*JSON, ("content-encoding", "gzip")))) for n in range(7)]
    assert [stored.row["id"] for stored in digest().each(records) if isinstance(stored, StoredCall)] == list("0123456")
    assert sizes == [3, 3, 1]


def test_attempts_are_copied_whole() -> None:
    """With every field that they have, whatever it is."""
    attempt = AttemptRecord(2, "u", "h", "m", "hint", 429, "rate_limit", 5.0, 6.0)
    assert all(value is not None for value in astuple(attempt))
    assert _copied(attempt) == attempt and _copied(attempt) is not attempt
