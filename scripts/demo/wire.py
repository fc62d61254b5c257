"""One exchange (what was said before, what is asked, what will be answered) as each provider's dialect words it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Json = dict[str, Any]
Dialect = Literal["chat", "responses", "completions", "embeddings", "messages", "gemini", "ollama"]
Way = Literal["proxy", "base"]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that was offered, called with `arguments`, and gave `result` (None: not run yet)."""

    name: str
    arguments: Json
    result: str | None = None
    id: str = "call_demo_1"

    @property
    def schema(self) -> Json:
        """A JSON schema that allows these very arguments only, so that the provider's call is known beforehand."""
        properties = {name: {"type": "string", "enum": [value]} for name, value in self.arguments.items()}
        return {"type": "object", "properties": properties, "required": list(self.arguments)}


@dataclass(frozen=True, slots=True)
class Sample:
    """One call. `history` holds earlier (question, answer) pairs; `knobs` are the fake provider's; `expect` is the status."""

    client: str  # the User-Agent
    dialect: Dialect
    model: str
    ask: str
    answer: str = ""
    system: str = ""
    stream: bool = False
    history: tuple[tuple[str, str], ...] = ()
    tool: ToolUse | None = None
    way: Way = "proxy"
    upstream: str = ""
    expect: int = 200
    knobs: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wire:
    """Where a dialect lives: the original host, the path, how the key travels, the body."""

    host: str
    path: Callable[[Sample], str]
    key_header: Callable[[str], tuple[str, str]]
    body: Callable[[Sample], Json]


def _bearer(key: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {key}"


def _turns(sample: Sample, assistant: str = "assistant") -> list[tuple[str, str]]:
    """(role, text) of all that was said, the question last."""
    said = [turn for question, answer in sample.history for turn in (("user", question), (assistant, answer))]
    return [*said, ("user", sample.ask)]


def _chat(sample: Sample) -> Json:
    messages: list[Json] = [{"role": role, "content": text} for role, text in _turns(sample)]
    if sample.system:
        messages.insert(0, {"role": "system", "content": sample.system})
    body: Json = {"model": sample.model, "messages": messages}
    if tool := sample.tool:
        body["tools"] = [{"type": "function", "function": {"name": tool.name, "parameters": tool.schema}}]
        if tool.result is not None:
            call = {"id": tool.id, "type": "function", "function": {"name": tool.name, "arguments": orjson.dumps(tool.arguments).decode()}}
            messages += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": tool.id, "content": tool.result},
            ]
    if sample.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _responses(sample: Sample) -> Json:
    body: Json = {"model": sample.model, "input": [{"role": role, "content": text} for role, text in _turns(sample)]}
    if sample.system:
        body["instructions"] = sample.system
    if sample.tool:
        body["tools"] = [{"type": "function", "name": sample.tool.name, "parameters": sample.tool.schema}]
    return body | ({"stream": True} if sample.stream else {})


def _completions(sample: Sample) -> Json:
    return {"model": sample.model, "prompt": sample.ask, "max_tokens": 64} | ({"stream": True} if sample.stream else {})


def _embeddings(sample: Sample) -> Json:
    return {"model": sample.model, "input": sample.ask.split(" | "), "dimensions": 8}


def _messages(sample: Sample) -> Json:
    messages: list[Json] = [{"role": role, "content": text} for role, text in _turns(sample)]
    body: Json = {"model": sample.model, "max_tokens": 1024, "messages": messages}
    if sample.system:
        body["system"] = [{"type": "text", "text": sample.system, "cache_control": {"type": "ephemeral"}}]
    if tool := sample.tool:
        body["tools"] = [{"name": tool.name, "description": f"Runs {tool.name}", "input_schema": tool.schema}]
        if tool.result is not None:
            messages += [
                {"role": "assistant", "content": [{"type": "tool_use", "id": tool.id, "name": tool.name, "input": tool.arguments}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": tool.id, "content": tool.result}]},
            ]
    return body | ({"stream": True} if sample.stream else {})


def _gemini(sample: Sample) -> Json:
    body: Json = {"contents": [{"role": role, "parts": [{"text": text}]} for role, text in _turns(sample, "model")]}
    if sample.system:
        body["systemInstruction"] = {"parts": [{"text": sample.system}]}
    if sample.tool:
        body["tools"] = [{"functionDeclarations": [{"name": sample.tool.name, "parameters": sample.tool.schema}]}]
    return body


def _gemini_path(sample: Sample) -> str:
    return f"/v1beta/models/{sample.model}:" + ("streamGenerateContent?alt=sse" if sample.stream else "generateContent")


def _ollama(sample: Sample) -> Json:
    messages = [{"role": role, "content": text} for role, text in _turns(sample)]
    return {"model": sample.model, "messages": messages, "stream": sample.stream}


OPENAI, ANTHROPIC, GEMINI = "api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"

WIRES: Mapping[Dialect, Wire] = {
    "chat": Wire(OPENAI, lambda _: "/v1/chat/completions", _bearer, _chat),
    "responses": Wire(OPENAI, lambda _: "/v1/responses", _bearer, _responses),
    "completions": Wire(OPENAI, lambda _: "/v1/completions", _bearer, _completions),
    "embeddings": Wire(OPENAI, lambda _: "/v1/embeddings", _bearer, _embeddings),
    "messages": Wire(ANTHROPIC, lambda _: "/v1/messages", lambda key: ("x-api-key", key), _messages),
    "gemini": Wire(GEMINI, _gemini_path, lambda key: ("x-goog-api-key", key), _gemini),
    "ollama": Wire("localhost", lambda _: "/api/chat", _bearer, _ollama),  # base URL only: nobody proxies calls to localhost
}
