"""The readers against recorded provider traffic, which stays outside the project (skipped where it is not there).

One test per property; each runs over all recordings of the dialects that have a reader. The score of exactly right usage is printed.
"""

from __future__ import annotations

import base64
import json
import lzma
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from addons.core import encodings
from addons.core.call import AnswerReading
from addons.core.dialects import answer_reader, read_request, session_reader
from addons.core.dialects.shapes import api_of

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "wire-open.jsonl.xz"
AT_LEAST_PERCENT = 99.5
NOT_SPEND = ("count-tokens", "gemini-count", "mistral-ocr")  # counted, or paid in other units than tokens
SPOKEN = ("stop", "end_turn", "tool_calls", "tool_use", "completed", "STOP")  # with others an answer may be empty
SMALL_BYTES = 6000  # read byte by byte
SESSIONS = {"gemini": "gemini.live", "realtime": "openai.realtime"}

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the recorded traffic is not here")


def api(case: dict[str, Any]) -> str:
    """The api that an import would name, by host, path and bodies."""
    if case["wire"] == "ws":
        return SESSIONS[case["dialect"]]
    parts = urlsplit(case["url"] or "")
    path = f"{parts.path}?{parts.query}"
    found = api_of(case["method"], parts.netloc, path, request_bytes(case), content(case), headers(case).get("content-type"))
    return found[1] if found else "other"


def request_bytes(case: dict[str, Any]) -> bytes:
    body = case["request_body"]
    return (body if isinstance(body, str) else json.dumps(body)).encode("utf-8", "replace")


def headers(case: dict[str, Any]) -> dict[str, str]:
    return {key.lower(): str(value) for key, value in (case["response_headers"] or {}).items()}


def content(case: dict[str, Any]) -> bytes:
    return base64.b64decode(case["response_body"] or "")


@cache
def cases() -> tuple[tuple[str, dict[str, Any]], ...]:
    with lzma.open(CORPUS, "rt", encoding="utf-8") as lines:
        loaded = [json.loads(line) for line in lines]
    return tuple((api(case), case) for case in loaded if case["wire"] != "grpc")


@cache
def streamed() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Those whose bytes can be cut anywhere (a session's messages come whole)."""
    return tuple((name, case) for name, case in cases() if case["wire"] != "ws")


def read(name: str, case: dict[str, Any], chunks: Iterator[bytes] | list[bytes] | None = None) -> AnswerReading:
    """Whole, or in the chunks given; a session message by message."""
    if case["wire"] == "ws":
        reader = session_reader(name)
        chunks = content(case).split(b"\n")
    else:
        reader = answer_reader(name, headers(case).get("content-type"), case["status"], tuple(headers(case).items()))
    for chunk in chunks or [content(case)]:
        reader.feed(chunk)
    return reader.finish()


def problem(case: dict[str, Any], reading: AnswerReading) -> str | None:
    """What is wrong with the usage; nothing and zero are the same except where a zero would have to be known."""
    usage, want = reading.usage, (case["expected"] or {}).get("usage") or {}
    if "input" not in want and "output" not in want:
        return f"usage {usage} where none was recorded" if usage.input_tokens else None
    got = {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "reasoning": usage.reasoning_tokens,
    }
    wrong = [f"{key} {value} instead of {want.get(key)}" for key, value in got.items() if (value or 0) != (want.get(key) or 0)]
    if "cost" in want and (usage.cost_usd is None or abs(usage.cost_usd - want["cost"]) > 1e-9):
        wrong.append(f"cost {usage.cost_usd} instead of {want['cost']}")
    return ", ".join(wrong) or None


def without_index(reading: AnswerReading) -> AnswerReading:
    return replace(reading, first_content=None)


WRONG_IN_THE_RECORDINGS = {
    "bedrock__model_{id}_invoke__json__072bd618a8d86f02": "Titan's `results[].tokenCount` (26) is the output; recorded as 0",
    "bedrock__model_{id}_invoke-with-response-stream__aws-eventstream__439f14e2a753c571": "Titan's own total is 188 tokens; recorded as 0",
    "moonshotai__default__json__64f0ef07eb3e6619": "Moonshot's `cached_tokens` (10) are cached tokens; recorded as none",
}


def test_usage_is_what_the_provider_said() -> None:
    """Input, output, cache, reasoning and cost are exact on at least AT_LEAST_PERCENT of all recordings; what is not is known by name."""
    spent = [(name, case) for name, case in cases() if case["dialect"] not in NOT_SPEND and case["method"] != "GET"]
    wrong = [(name, case["case"], found) for name, case in spent if (found := problem(case, read(name, case)))]
    score = 100 * (1 - len(wrong) / len(spent))
    print(f"\nusage right in {len(spent) - len(wrong)} of {len(spent)} recordings: {score:.2f} %")
    print("\n".join(f"  {name} {case}: {found} ({WRONG_IN_THE_RECORDINGS.get(case)})" for name, case, found in wrong))
    assert {case for _, case, _ in wrong} <= WRONG_IN_THE_RECORDINGS.keys()
    assert score >= AT_LEAST_PERCENT


def test_answers_asked_for_again_have_their_usage() -> None:
    """Polled responses and runs say what was recorded; results of a batch say what each of them used (recorded as none)."""
    asked = [(name, case) for name, case in cases() if case["method"] == "GET" and name not in ("other", "anthropic.batches")]
    assert [case["case"] for name, case in asked if problem(case, read(name, case))] == []
    batches = [read(name, case).usage for name, case in cases() if name == "anthropic.batches"]
    assert [(usage.input_tokens, usage.output_tokens) for usage in batches] == [(39, 9)]


def test_what_only_counts_spends_nothing() -> None:
    """Counting tokens, and reading pages, reports no tokens."""
    counted = [(name, case) for name, case in cases() if case["dialect"] in NOT_SPEND]
    assert counted
    assert [case["case"] for name, case in counted if read(name, case).usage.known] == []


def test_the_model_is_what_the_provider_said() -> None:
    """Where a recording names the model that answered, the reading does."""
    wrong = [
        (case["case"], model, reading.model)
        for name, case in cases()
        if (model := (case["expected"] or {}).get("model")) and name != "other" and (reading := read(name, case)).model != model
    ]
    assert wrong == []


def test_every_answer_with_output_has_a_message_and_an_end() -> None:
    """A recording with output tokens and a stop reason gives a message, and is not taken for a cut one."""
    wrong = []
    for name, case in cases():
        expected = case["expected"] or {}
        if case["status"] != 200 or not expected.get("stop") or not (expected.get("usage") or {}).get("output"):
            continue
        reading = read(name, case)
        silent = not reading.messages and expected["stop"] in SPOKEN
        if not reading.finished or not reading.finish_reason or silent:
            wrong.append((case["case"], reading.finished, reading.finish_reason, len(reading.messages)))
    assert wrong == []


def test_random_cuts_change_nothing() -> None:
    """Fed in pieces of any length, every recording reads as when it is fed whole."""
    source = random.Random(20261101)
    for name, case in streamed():
        body = content(case)
        cuts = sorted(source.randrange(len(body) + 1) for _ in range(source.randrange(1, 40)))
        pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert without_index(read(name, case, pieces)) == without_index(read(name, case)), case["case"]


def test_byte_by_byte_changes_nothing() -> None:
    """The small ones fed one byte at a time."""
    sample = [(name, case) for name, case in streamed() if 0 < len(content(case)) <= SMALL_BYTES]
    assert sample
    for name, case in sample:
        body = content(case)
        pieces = [body[at : at + 1] for at in range(len(body))]
        assert without_index(read(name, case, pieces)) == without_index(read(name, case)), case["case"]


def test_the_compressed_recordings_read_the_same() -> None:
    """Through the compressed path, chunk by chunk, the bodies come out as they were recorded decoded."""
    for _, case in streamed():
        if not case.get("response_body_compressed"):
            continue
        compressed = base64.b64decode(case["response_body_compressed"])
        opened = encodings.decoder(case["original_content_encoding"] or "gzip")
        pieces = [opened.feed(compressed[at : at + 7]) for at in range(0, len(compressed), 7)]
        assert b"".join(pieces) + opened.flush() == content(case), case["case"]


def test_requests_are_read() -> None:
    """Every recorded request of a chat dialect with messages gives messages, and the model and streaming that stand in it."""
    for name, case in streamed():
        body = case["request_body"]
        if not isinstance(body, dict) or name == "other":
            continue
        parts = urlsplit(case["url"] or "")
        reading = read_request(name, f"{parts.path}?{parts.query}", json.dumps(body).encode())
        if any(body.get(key) for key in ("messages", "contents", "prompt", "input")) and not any(
            empty in json.dumps(body) for empty in ('"content": ""', '"input": [""]')
        ):
            assert reading.messages, case["case"]
        if isinstance(body.get("model"), str):
            assert (reading.model or "").endswith(body["model"].rpartition("/")[2]), case["case"]
        if "stream" in body and name != "gemini.generate":
            assert reading.stream is body["stream"], case["case"]


def test_damaged_answers_never_raise() -> None:
    """Bytes flipped, removed and doubled anywhere, with a gap somewhere: a reading comes out all the same."""
    source = random.Random(7)
    for name, case in streamed():
        body = bytearray(content(case))
        for _ in range(8):
            body[source.randrange(len(body)) : source.randrange(len(body))] = source.choice(
                [b"", b"null", b'"', b"}", b"[1", b"\n\n", b"\xff"]
            )
            body = body or bytearray(b"{}")
        reader = answer_reader(name, None, case["status"])
        reader.feed(bytes(body[: len(body) // 2]))
        reader.resume()
        reader.feed(bytes(body[len(body) // 2 + 5 :]))
        reader.finish()
