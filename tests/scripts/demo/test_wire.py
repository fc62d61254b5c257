"""One exchange as each dialect words it: read back by the proxy's own dialects."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import orjson
import pytest

from addons.core.call import Message
from addons.core.dialects import read_request
from addons.core.providers import identify
from scripts.demo.wire import WIRES, Dialect, Sample, ToolUse

APIS: dict[Dialect, tuple[str, str]] = {
    "chat": ("openai", "openai.chat"),
    "responses": ("openai", "openai.responses"),
    "completions": ("openai", "openai.completions"),
    "embeddings": ("openai", "openai.embeddings"),
    "messages": ("anthropic", "anthropic.messages"),
    "gemini": ("gemini", "gemini.generate"),
    "ollama": ("ollama", "ollama.chat"),
}
TURNS = (("Hello", "Hi"), ("And now?", "Now this"))


def messages_of(sample: Sample) -> tuple[Message, ...]:
    api = APIS[sample.dialect][1]
    wire = WIRES[sample.dialect]
    return read_request(api, wire.path(sample), orjson.dumps(wire.body(sample))).messages


@pytest.mark.parametrize("dialect", APIS)
def test_paths_are_the_providers_own(dialect: Dialect) -> None:
    """The proxy takes each for the call that it is, streaming or not."""
    for stream in (False, True):
        sample = Sample("x/1", dialect, "model-1", "Hello", stream=stream)
        provider, name = APIS[dialect]
        api = identify(provider, "POST", WIRES[dialect].path(sample))
        assert api is not None and api.name == name
        reading = read_request(name, WIRES[dialect].path(sample), orjson.dumps(WIRES[dialect].body(sample)))
        assert (api.model or reading.model) == "model-1"
        assert reading.stream == (stream and dialect != "embeddings")


@pytest.mark.parametrize("dialect", [name for name in APIS if name not in ("completions", "embeddings")])
def test_what_was_said_before_is_sent_again(dialect: Dialect) -> None:
    """History and question, in order, each in its role."""
    said = messages_of(Sample("x/1", dialect, "m", "Last", history=TURNS))
    assert [(message.role, message.parts[0].text) for message in said] == [
        ("user", "Hello"), ("assistant", "Hi"), ("user", "And now?"), ("assistant", "Now this"), ("user", "Last"),
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_a_tool_is_offered_then_answered(dialect: str) -> None:
    """First the offer alone; with a result the call and its result follow."""
    tool = ToolUse("read_file", {"path": "a.py"})
    sample = Sample("x/1", cast(Dialect, dialect), "m", "Use the tool", tool=tool)
    assert [message.role for message in messages_of(sample)] == ["user"]
    kinds = [part.kind for message in messages_of(replace(sample, tool=replace(tool, result="x = 1"))) for part in message.parts]
    assert kinds == ["text", "tool_call", "tool_result"]
