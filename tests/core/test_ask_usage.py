"""Asking for usage, and taking the answer to it out again."""

from __future__ import annotations

import re
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.ask_usage import MAX_HELD_BYTES, OPTION, UsageFilter, is_usage_chunk, supports, with_usage


@pytest.mark.parametrize(
    ("body", "asking"),
    [
        (b'{"model":"m","stream":true}', b"{" + OPTION + b',"model":"m","stream":true}'),
        (b' { "stream" : true }', b" {" + OPTION + b', "stream" : true }'),
        (
            b'{"stream":true,"stream_options":{"include_obfuscation":false}}',
            b'{"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}',
        ),
        (b'{"stream_options":null,"stream":true}', b'{"stream_options":{"include_usage":true},"stream":true}'),
        (b'{"stream":true,"stream_options":{"include_usage":false}}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"stream":true,"stream_options":{"include_usage":true}}', None),
        (b'{"stream":true,"stream_options":"?"}', None),
        (b'{"stream":false}', None),
        (b'{"messages":[{"stream":true}]}', None),
        (b'["stream"]', None),
        (b'{"stream":true', None),
        (b"", None),
    ],
)
def test_only_what_is_needed_is_put_in(body: bytes, asking: bytes | None) -> None:
    """The rest of the body stays letter for letter; who asks already, or does not stream, is left alone."""
    assert with_usage(body) == asking


def test_only_where_it_is_known_to_work() -> None:
    """Some providers refuse what they do not know."""
    assert supports("openai.chat", "openai") and supports("openai.completions", "ollama")
    assert not supports("openai.chat", "mistral") and not supports("openai.responses", "openai")


def event(value: object, end: bytes = b"\n\n") -> bytes:
    """One SSE event."""
    return b"data: " + orjson.dumps(value) + end


DELTA = {"choices": [{"index": 0, "delta": {"content": '"usage":{ "choices":[]'}}], "usage": None}
USAGE = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
FILTERED_ONLY = {"choices": [], "prompt_filter_results": [{"usage": {"a": 1}}], "usage": None}  # Azure's first chunk
WITH_BOTH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}  # OpenRouter's last
KEPT = [b": ping\n\n", event(DELTA), event(FILTERED_ONLY), event(DELTA, b"\r\n\r\n"), event(WITH_BOTH), b"data: [DONE]\n\n"]
STREAM = b"".join([*KEPT[:-1], event(USAGE), KEPT[-1]])


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_gives_the_stream_without_the_usage(cuts: list[int]) -> None:
    """However the bytes come, all but the extra chunk passes, in order."""
    places = [0, *sorted(cuts), len(STREAM)]
    usage_filter = UsageFilter()
    out = b"".join(usage_filter.feed(STREAM[start:end]) for start, end in pairwise(places))
    assert out + usage_filter.flush() == b"".join(KEPT)


ENDS = [b"", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"\r\r"]
PIECES = [*ENDS, b"x", b": ping", *KEPT, *(event(USAGE, end) for end in ENDS)]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_what_passes_is_what_a_walk_over_all_events_would_pass(pieces: list[bytes]) -> None:
    """The filter looks only for usage; each event looked at by itself gives the same, but for the line breaks before a usage chunk."""
    stream = b"".join(pieces)
    start, walked = 0, []
    for end in re.finditer(rb"\r\n\r\n|\n\n|\r\r", stream):
        if not is_usage_chunk(piece := stream[start : end.end()]):
            walked.append(piece)
        start = end.end()
    if not is_usage_chunk(stream[start:]):
        walked.append(stream[start:])
    usage_filter = UsageFilter()
    passed = usage_filter.feed(stream) + usage_filter.flush()
    assert re.sub(rb"[\r\n]+", b"\n", passed).strip() == re.sub(rb"[\r\n]+", b"\n", b"".join(walked)).strip()


def test_whole_events_pass_at_once() -> None:
    """Nothing of a whole event waits for the next one."""
    usage_filter = UsageFilter()
    assert [usage_filter.feed(piece) for piece in KEPT] == KEPT
    assert usage_filter.flush() == b""


def test_a_very_long_event_is_not_held() -> None:
    """It passes as it comes, and the next one is looked at again."""
    usage_filter = UsageFilter()
    start = b"data: " + b"x" * (MAX_HELD_BYTES + 1)
    assert usage_filter.feed(start) == start
    assert usage_filter.feed(b"end\n\n" + event(USAGE) + KEPT[-1]) == b"end\n\n" + KEPT[-1]


def test_the_end_gives_back_what_was_held() -> None:
    """A stream that breaks off inside an event loses nothing; a usage chunk without its blank line is taken out all the same."""
    usage_filter = UsageFilter()
    assert usage_filter.feed(b"data: {") == b""
    assert usage_filter.flush() == b"data: {"
    assert usage_filter.feed(event(USAGE, b"\n")) + usage_filter.flush() == b""
