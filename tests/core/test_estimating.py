"""What is estimated, and what stays unknown; and how far estimates are from what providers said of recorded calls."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from addons.core.call import CallRecord, CapturedBody, RequestReading, StoredCall
from addons.core.captured import read_answer
from addons.core.conversations import Conversations
from addons.core.dialects import read_request
from addons.core.digest import Digest
from addons.core.estimating import TEXT_APIS, UsageEstimator
from addons.core.pricing import Prices
from addons.core.redaction.redactor import Redactor
from addons.core.tokens import Counter, encoding_for
from addons.tokenizer import Tokenizer
from tests.core.test_corpus import CORPUS, cases, content, read

TOKENIZER = Tokenizer()
PROSE = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 4
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


def stored(record: CallRecord, encoders: Any = TOKENIZER) -> StoredCall:
    return Digest(Redactor([]), Prices({}), Conversations(10), True, 1 << 20, estimator=UsageEstimator(encoders))(record)


def usage(record: CallRecord, encoders: Any = TOKENIZER) -> tuple[Any, ...]:
    row = stored(record, encoders).row
    return row["input_tokens"], row["output_tokens"], row["tokens_source"]


def captured(value: Any, kind: str = "application/json") -> CapturedBody:
    found = value if isinstance(value, bytes) else json.dumps(value).encode()
    return CapturedBody((("content-type", kind),), found, len(found), chunks=[(1.0, len(found))])


def call(answer: Any, request: Any = None, **more: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "id": "01A",
        "started_ms": 1_760_000_000_000,
        "method": "POST",
        "host": "api.openai.com",
        "path": "/v1/chat/completions",
        "api": "openai.chat",
        "provider": "openai",
        "status": 200,
        "request": captured(HELLO if request is None else request),
        "response": answer if isinstance(answer, CapturedBody) else captured(answer),
    }
    return CallRecord(**(fields | more))


def chat(text: str | None = PROSE, usage: Any = None) -> dict[str, Any]:
    return {"model": "gpt-4o", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}], "usage": usage}


def events(*values: dict[str, Any], done: bool = False) -> CapturedBody:
    text = "".join(f"event: {value.get('type', '')}\ndata: {json.dumps(value)}\n\n" for value in values)
    return captured((text + ("data: [DONE]\n\n" if done else "")).encode(), "text/event-stream")


def deltas(*pieces: str) -> list[dict[str, Any]]:
    return [{"model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]


def plain(text: str = PROSE) -> int:
    return len(TOKENIZER("o200k_base").encode_ordinary(text))


def test_an_answer_without_usage_is_estimated_and_priced() -> None:
    """Input from the request, output from the text; the cost is one like any other."""
    row = stored(call(chat())).row
    assert (row["input_tokens"], row["output_tokens"], row["tokens_source"]) == (8, plain(), "estimated")
    assert row["cost_source"] == "priced"
    assert row["cost_usd"] == pytest.approx((8 * 2.5 + plain() * 10) / 1e6)


def test_reported_usage_stands() -> None:
    """Nothing is counted, and no encoding loaded, where the provider said all; zeros are said too."""
    said = {"prompt_tokens": 3, "completion_tokens": 0}
    assert usage(call(chat(usage=said)), encoders=pytest.fail) == (3, 0, "reported")


def test_a_stream_that_was_left_is_estimated_as_far_as_it_came() -> None:
    """The pieces that were seen, put together."""
    record = call(events(*deltas(PROSE[:50], PROSE[50:])), HELLO | {"stream": True}, outcome="cancelled")
    assert usage(record) == (8, plain(), "estimated")


def test_a_half_that_the_provider_leaves_out_stays_unknown() -> None:
    """Ollama does not count a prompt that it had in its cache: our count of it would be no part of what the call took."""
    answer = {"model": "llama3", "message": {"role": "assistant", "content": "hi"}, "done": True, "eval_count": 77}
    found = usage(call(answer, api="ollama.chat", provider="ollama"))
    assert found == (None, 77, "reported")


START = {"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 1000, "output_tokens": 1}}}
BLOCK = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": PROSE}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 90}}


def claude(*values: dict[str, Any], **more: Any) -> CallRecord:
    return call(events(*values), HELLO | {"stream": True}, api="anthropic.messages", provider="anthropic", **more)


def test_a_cut_anthropic_stream_keeps_its_input() -> None:
    """`message_start` says the input for good, but its output is a guess, which only `message_delta` makes right."""
    found = usage(claude(START, BLOCK, outcome="cancelled"))
    assert found[0] == 1000 and found[1] > plain() and found[2] == "estimated"
    assert usage(claude(START, BLOCK, END)) == (1000, 90, "reported")


def test_a_cut_anthropic_stream_without_content_says_what_it_said() -> None:
    """Nothing was written that could be counted."""
    assert usage(claude(START, outcome="cancelled")) == (1000, 1, "reported")


@pytest.mark.parametrize(
    "record",
    [
        call({"error": {"message": "no"}}, status=400),
        call(chat(), status=None),
        call(chat(), status=500),
        call(chat(text="")),
        call(b""),
        call(chat(), api="openai.images"),
        call(chat(), api="openai.audio"),
        call(chat(), api="other"),
    ],
)
def test_unknown_stays_unknown(record: CallRecord) -> None:
    """Errors, answers without content, and APIs that bill something else than text."""
    row = stored(record).row
    assert [row[name] for name in ("input_tokens", "output_tokens", "tokens_source", "cost_usd", "cost_source")] == [None] * 5


def test_a_body_with_a_gap_is_not_counted() -> None:
    """Of an answer whose middle was not kept the input alone is known; of a request that was cut, the output."""
    answer = captured(json.dumps(chat()).encode())
    answer.size += 10_000
    assert usage(call(answer))[:2] == (8, None)
    stream = events(*deltas(PROSE, PROSE))
    stream.content, stream.tail = stream.content[:-200], stream.content[-100:]
    assert usage(call(stream))[:2] == (8, None)
    request = captured(HELLO)
    request.size += 10_000
    assert usage(replace(call(chat()), request=request))[:2] == (None, plain())


@pytest.mark.parametrize("more", [{"previous_response_id": "resp_1"}, {"conversation": {"id": "c"}}])
def test_input_that_the_provider_keeps_is_unknown(more: dict[str, Any]) -> None:
    """The request names it and does not hold it: what is counted would be too little."""
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": PROSE}]}]
    answer = {"object": "response", "model": "gpt-4o", "status": "completed", "output": output}
    request = {"model": "gpt-4o", "input": "hello"}
    assert usage(call(answer, request, api="openai.responses")) == (8, plain(), "estimated")
    row = stored(call(answer, request | more, api="openai.responses")).row
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == (None, plain(), None)


def test_an_answer_that_was_counted_before_is_not_counted_again() -> None:
    """A poll says the same answer once more."""
    record = call(chat())
    answer = read_answer(record, False)
    again = replace(answer, reading=replace(answer.reading, repeated=True))
    request = read_request(record.api, record.path, record.request.content)
    estimate = UsageEstimator(TOKENIZER)
    assert estimate(record, "gpt-4o", request, record.request.content, answer)
    assert estimate(record, "gpt-4o", request, record.request.content, again) is None


def test_embeddings_have_input_only() -> None:
    """Their answer is no text."""
    answer = {"object": "list", "data": [{"embedding": [0.1]}], "model": "text-embedding-3-small"}
    record = call(answer, {"model": "text-embedding-3-small", "input": "hello world"}, api="openai.embeddings")
    assert usage(record) == (2, None, "estimated")


def test_without_ranks_nothing_is_estimated() -> None:
    """A tokenizer that cannot be loaded costs the estimate, never the row."""

    def encoders(name: str) -> Any:
        raise LookupError(name)

    assert usage(call(chat()), encoders) == (None, None, None)


def test_without_an_estimator_nothing_is_estimated() -> None:
    """As the digest was before there was one."""
    row = Digest(Redactor([]), Prices({}), Conversations(10), True, 1 << 20)(call(chat())).row
    assert row["tokens_source"] is None


@dataclass(frozen=True, slots=True)
class Compared:
    """A recorded call's figure and what we make of it."""

    provider: str
    model: str
    api: str
    said: int
    estimated: int

    @property
    def error(self) -> float:
        return abs(self.estimated - self.said) / self.said


OPENAI_OWN = {"openai", "azure", "chatgpt", "copilot"}
MIN_OUTPUT = 50


def compared() -> tuple[list[Compared], list[Compared]]:
    """Outputs (text only, nothing reasoned, MIN_OUTPUT tokens or more) and inputs (text only, no tools) of all recordings."""
    outputs, inputs = [], []
    for api, case in ((api, case) for api, case in cases() if api in TEXT_APIS):
        said, body = (case["expected"] or {}).get("usage") or {}, case["request_body"]
        answer = read(api, case, [content(case)])
        model = answer.model or (body.get("model") if isinstance(body, dict) else None)
        counter = Counter(TOKENIZER(encoding_for(model)), model)
        place = case["provider"], model or "?", api
        kinds = {part.kind for message in answer.messages for part in message.parts}
        if kinds == {"text"} and not said.get("reasoning") and (said.get("output") or 0) >= MIN_OUTPUT:
            outputs.append(Compared(*place, said["output"], counter.output(answer.messages)))
        request = read_request(api, case["url"] or "", json.dumps(body).encode()) if isinstance(body, dict) else RequestReading()
        asked = {part.kind for message in request.messages for part in message.parts}
        if said.get("input") and asked == {"text"} and not request.tools and not body.get("tools"):
            inputs.append(Compared(*place, said["input"], counter.input(api, request, body)))
    return outputs, inputs


def table(title: str, rows: Iterable[Compared]) -> None:
    groups: dict[tuple[str, str], list[Compared]] = defaultdict(list)
    for row in rows:
        groups[row.provider, row.api].append(row)
    print(f"\n{title}\n{'provider':18} {'api':20} {'calls':>5} {'median error':>12}   each: said → estimated")
    for (provider, api), found in sorted(groups.items()):
        each = ", ".join(f"{row.said} → {row.estimated}" for row in found)
        print(f"{provider:18} {api:20} {len(found):5} {median(found):11.1%}    {each[:150]}")


def median(rows: Iterable[Compared]) -> float:
    return statistics.median(row.error for row in rows)


@pytest.mark.skipif(not CORPUS.exists(), reason="the recorded traffic is not here")
def test_estimates_are_near_what_was_said() -> None:
    """The median error: output under 10 % (3 % for OpenAI's own), input under 15 %. The whole table is printed (-s)."""
    outputs, inputs = compared()
    openai = [[row for row in rows if row.api.startswith("openai.")] for rows in (outputs, inputs)]
    own = [[row for row in rows if row.provider in OPENAI_OWN] for rows in openai]
    for title, rows in (("output tokens", outputs), ("input tokens", inputs)):
        table(title, rows)
    for title, (output, asked) in {"OpenAI-compatible": openai, "OpenAI's own": own, "all": [outputs, inputs]}.items():
        print(f"{title}: output {median(output):.1%} of {len(output)} calls, input {median(asked):.1%} of {len(asked)}")
    assert median(openai[0]) < 0.10 and median(own[0]) < 0.03
    assert median(openai[1]) < 0.15 and median(own[1]) < 0.03
    assert median(outputs) < 0.10 and median(inputs) < 0.15
