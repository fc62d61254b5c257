"""Text completions: prompts in four forms, streamed and whole answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.core.call import Message, Part, Usage
from addons.core.dialects import answer_reader, read_request


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("one", (Part("text", "one"),)),
        (["one", "two"], (Part("text", "one"), Part("text", "two"))),
        ([1, 2, 3], (Part("other", None, {"type": "tokens", "tokens": 3}),)),
        ([[1, 2], [3]], (Part("other", None, {"type": "tokens", "tokens": 2}), Part("other", None, {"type": "tokens", "tokens": 1}))),
    ],
)
def test_prompts(prompt: Any, parts: tuple[Part, ...]) -> None:
    """Strings are text, tokens are counted."""
    reading = read_request("openai.completions", "/v1/completions", json.dumps({"model": "m", "prompt": prompt}).encode())
    assert reading.messages == (Message("user", parts),)


def test_streamed_and_whole_read_the_same() -> None:
    """`text` of a choice, usage at the end."""
    usage = {"prompt_tokens": 2, "completion_tokens": 1}
    streamed = answer_reader("openai.completions", "text/event-stream", 200)
    streamed.feed(b'data: {"model":"m","choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n')
    streamed.feed(b'data: {"choices":[{"index":0,"text":"b","finish_reason":"stop"}],"usage":' + json.dumps(usage).encode() + b"}\n\n")
    whole = answer_reader("openai.completions", None, 200)
    whole.feed(json.dumps({"model": "m", "choices": [{"text": "ab", "finish_reason": "stop"}], "usage": usage}).encode())
    reading = streamed.finish()
    assert reading == whole.finish()
    assert reading.messages == (Message("assistant", (Part("text", "ab"),)),)
    assert reading.usage == Usage(input_tokens=2, output_tokens=1)
