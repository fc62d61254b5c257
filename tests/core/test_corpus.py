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
from addons.core.dialects import answer_reader, read_request

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "wire-open.jsonl.xz"
WIRES = ("json", "sse", "ndjson", "json-array")
AT_LEAST_PERCENT = 98.0
SPOKEN = ("stop", "end_turn", "tool_calls", "tool_use", "completed", "STOP")  # with others an answer may be empty
SMALL_BYTES = 6000  # read byte by byte

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the recorded traffic is not here")

APIS = {"openai-responses": "openai.responses", "anthropic": "anthropic.messages", "gemini": "gemini.generate"}
OBJECTS = {"text_completion": "openai.completions", "list": "openai.embeddings"}


def api_of(case: dict[str, Any]) -> str | None:
    """The api that the router would name, told by dialect and path; None where no reader exists yet."""
    path, dialect = urlsplit(case["url"] or "").path, case["dialect"]
    if case["wire"] not in WIRES or (case["provider"].startswith("bedrock") and dialect != "openai-responses"):
        return None
    if dialect == "ollama":
        return "ollama.generate" if path.endswith("/generate") else "ollama.chat"
    if dialect == "openai-chat":
        if path.endswith("/embeddings"):
            return "openai.embeddings"
        if path.endswith("v1/completions"):
            return "openai.completions"
        return OBJECTS.get(_object(case), "openai.chat")
    return APIS.get(dialect)


def _object(case: dict[str, Any]) -> str:
    body = content(case).removeprefix(b"data:").strip()
    try:
        return str(json.JSONDecoder().raw_decode(body.decode("utf-8", "replace"))[0].get("object"))
    except (ValueError, AttributeError):
        return ""


def content(case: dict[str, Any]) -> bytes:
    return base64.b64decode(case["response_body"] or "")


@cache
def cases() -> tuple[tuple[str, dict[str, Any]], ...]:
    with lzma.open(CORPUS, "rt", encoding="utf-8") as lines:
        loaded = [json.loads(line) for line in lines]
    return tuple((api, case) for case in loaded if (api := api_of(case)))


def read(api: str, case: dict[str, Any], chunks: Iterator[bytes] | list[bytes]) -> AnswerReading:
    headers = {key.lower(): str(value) for key, value in (case["response_headers"] or {}).items()}
    reader = answer_reader(api, headers.get("content-type"), case["status"])
    for chunk in chunks:
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


def test_usage_is_what_the_provider_said() -> None:
    """Input, output, cache, reasoning and cost are exact on at least AT_LEAST_PERCENT of all recordings."""
    wrong = [(api, case["case"], found) for api, case in cases() if (found := problem(case, read(api, case, [content(case)])))]
    score = 100 * (1 - len(wrong) / len(cases()))
    print(f"\nusage right in {len(cases()) - len(wrong)} of {len(cases())} recordings: {score:.2f} %")
    print("\n".join(f"  {api} {name}: {found}" for api, name, found in wrong))
    assert score >= AT_LEAST_PERCENT


def test_the_model_is_what_the_provider_said() -> None:
    """Where a recording names the model that answered, the reading does."""
    wrong = [
        (case["case"], model, reading.model)
        for api, case in cases()
        if (model := (case["expected"] or {}).get("model")) and (reading := read(api, case, [content(case)])).model != model
    ]
    assert wrong == []


def test_every_answer_with_output_has_a_message_and_an_end() -> None:
    """A recording with output tokens and a stop reason gives a message, and is not taken for a cut one."""
    wrong = []
    for api, case in cases():
        expected = case["expected"] or {}
        if case["status"] != 200 or not expected.get("stop") or not (expected.get("usage") or {}).get("output"):
            continue
        reading = read(api, case, [content(case)])
        silent = not reading.messages and expected["stop"] in SPOKEN
        if not reading.finished or not reading.finish_reason or silent:
            wrong.append((case["case"], reading.finished, reading.finish_reason, len(reading.messages)))
    assert wrong == []


def test_random_cuts_change_nothing() -> None:
    """Fed in pieces of any length, every recording reads as when it is fed whole."""
    source = random.Random(20261101)
    for api, case in cases():
        body = content(case)
        cuts = sorted(source.randrange(len(body) + 1) for _ in range(source.randrange(1, 40)))
        pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert without_index(read(api, case, pieces)) == without_index(read(api, case, [body])), case["case"]


def test_byte_by_byte_changes_nothing() -> None:
    """The small ones fed one byte at a time."""
    sample = [(api, case) for api, case in cases() if len(content(case)) <= SMALL_BYTES]
    assert sample
    for api, case in sample:
        body = content(case)
        pieces = [body[at : at + 1] for at in range(len(body))]
        assert without_index(read(api, case, pieces)) == without_index(read(api, case, [body])), case["case"]


def test_the_compressed_recordings_read_the_same() -> None:
    """Through the compressed path, chunk by chunk, the bodies come out as they were recorded decoded."""
    for _, case in cases():
        if not case.get("response_body_compressed"):
            continue
        compressed = base64.b64decode(case["response_body_compressed"])
        opened = encodings.decoder(case["original_content_encoding"] or "gzip")
        pieces = [opened.feed(compressed[at : at + 7]) for at in range(0, len(compressed), 7)]
        assert b"".join(pieces) + opened.flush() == content(case), case["case"]


def test_requests_are_read() -> None:
    """Every recorded request of a chat dialect with messages gives messages, and the model and streaming that stand in it."""
    for api, case in cases():
        body = case["request_body"]
        if not isinstance(body, dict) or "moderations" in (case["url"] or ""):
            continue
        parts = urlsplit(case["url"] or "")
        reading = read_request(api, f"{parts.path}?{parts.query}", json.dumps(body).encode())
        if any(body.get(key) for key in ("messages", "contents", "prompt", "input")) and '"content": ""' not in json.dumps(body):
            assert reading.messages, case["case"]
        if isinstance(body.get("model"), str):
            assert (reading.model or "").endswith(body["model"].rpartition("/")[2]), case["case"]
        if "stream" in body and api != "gemini.generate":
            assert reading.stream is body["stream"], case["case"]


def test_damaged_answers_never_raise() -> None:
    """Bytes flipped, removed and doubled anywhere, with a gap somewhere: a reading comes out all the same."""
    source = random.Random(7)
    for api, case in cases():
        body = bytearray(content(case))
        for _ in range(8):
            body[source.randrange(len(body)) : source.randrange(len(body))] = source.choice(
                [b"", b"null", b'"', b"}", b"[1", b"\n\n", b"\xff"]
            )
            body = body or bytearray(b"{}")
        reader = answer_reader(api, None, case["status"])
        reader.feed(bytes(body[: len(body) // 2]))
        reader.resume()
        reader.feed(bytes(body[len(body) // 2 + 5 :]))
        reader.finish()
