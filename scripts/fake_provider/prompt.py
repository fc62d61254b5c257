"""What a request asks, read alike from every dialect."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import brotli
import orjson
import zstandard

from scripts.fake_provider.http1 import Request
from scripts.fake_provider.knobs import Settings, from_model

Json = dict[str, Any]

TEXT_FIELDS = ("text", "content", "parts", "output")
PROMPT_FIELDS = ("system", "instructions", "systemInstruction", "system_instruction", "messages", "input", "contents", "prompt")
TURN_FIELDS = ("messages", "input", "contents", "prompt")
TOOL_PHRASE = "use the tool"

DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


class PromptError(ValueError):
    """A body that no provider would take; the message says why (status 400)."""


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Prompt:
    """`words` is the input total in tokens; `tool` is the one to be called, if any; `settings` are the knobs in the model's name."""

    model: str
    stream: bool
    words: int
    last_user: str = ""
    tool: Tool | None = None
    settings: Settings = field(default_factory=dict)
    body: Json = field(default_factory=dict)


def texts(value: object) -> Iterator[str]:
    """Every text within a message, a list of them or a part, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for name in TEXT_FIELDS:
            if name in value:
                yield from texts(value[name])


def count_words(*values: object) -> int:
    """Words of all texts in the values: what the fake provider calls tokens."""
    return sum(len(text.split()) for value in values for text in texts(value))


def read_json(request: Request) -> Json:
    """The body as a JSON object, content-decoded. Raises PromptError."""
    coding = (request.header("content-encoding") or "identity").lower()
    if coding != "identity" and coding not in DECODERS:
        raise PromptError(f"unsupported content-encoding: {coding}")
    try:
        value = orjson.loads(DECODERS[coding](request.body) if coding != "identity" else request.body)
    except (ValueError, OSError, EOFError, zlib.error, brotli.error, zstandard.ZstdError) as problem:
        raise PromptError("We could not parse the JSON body of your request.") from problem
    if not isinstance(value, dict):
        raise PromptError("The body must be a JSON object.")
    return value


def read_prompt(body: Json, model: str | None = None, stream: bool | None = None) -> Prompt:
    """A prompt from a body of any dialect; `model` and `stream` where the path says them. Raises PromptError without a model."""
    asked = model if model is not None else body.get("model")
    if not isinstance(asked, str) or not asked:
        raise PromptError("you must provide a model parameter")
    name, settings = from_model(asked)
    turns: object = next((body[key] for key in TURN_FIELDS if body.get(key)), [])
    users = _user_turns(turns)
    return Prompt(
        model=name,
        stream=bool(body.get("stream", False)) if stream is None else stream,
        words=count_words(*(body[key] for key in PROMPT_FIELDS if key in body)),
        last_user=next((text for turn in reversed(users) if (text := "\n".join(texts(turn)))), ""),
        tool=_tool_to_call(body, turns),
        settings=settings,
        body=body,
    )


def _user_turns(turns: object) -> list[object]:
    if isinstance(turns, str):
        return [turns]
    items = turns if isinstance(turns, list) else [turns]
    return [item for item in items if isinstance(item, str) or (isinstance(item, dict) and item.get("role", "user") == "user")]


def _tool_to_call(body: Json, turns: object) -> Tool | None:
    tools = list(_tools(body.get("tools") or []))
    if not tools:
        return None
    forced, name = _tool_choice(body)
    last = turns[-1] if isinstance(turns, list) and turns else turns
    asked = bool(_user_turns(last)) and _says_tool(last)
    if not forced and not asked:
        return None
    return next((tool for tool in tools if tool.name == name), tools[0])


def _says_tool(turn: object) -> bool:
    # A tool's result may come in a user's turn (Anthropic, Gemini); it is an answer to a call, not another request for one.
    if isinstance(turn, dict) and isinstance(turn.get("content"), list):
        turn = [part for part in turn["content"] if not (isinstance(part, dict) and part.get("type") == "tool_result")]
    return TOOL_PHRASE in " ".join(texts(turn)).lower()


def _tools(items: list[Json]) -> Iterator[Tool]:
    """OpenAI chat wraps in `function`, Gemini in `functionDeclarations`; responses and Anthropic do not wrap."""
    for item in items:
        declared = item.get("functionDeclarations") or item.get("function_declarations")
        if declared:
            yield from _tools(declared)
            continue
        inner = item.get("function") or item
        if "name" in inner:
            schema = inner.get("parameters") or inner.get("input_schema") or inner.get("parametersJsonSchema") or {}
            yield Tool(inner["name"], schema)


def _tool_choice(body: Json) -> tuple[bool, str | None]:
    """Must a tool be called, and which?"""
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        inner = choice.get("function") or choice
        return choice.get("type") in ("function", "tool", "any"), inner.get("name")
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    names = config.get("allowedFunctionNames") or [None]
    return choice == "required" or config.get("mode") == "ANY", names[0]


SAMPLES: dict[str, object] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}, "null": None}


def sample_arguments(schema: Json) -> Json:
    """Arguments that satisfy the required properties of a plain JSON schema (enum: the first; types in either case)."""
    properties = schema.get("properties") or {}
    return {name: _sample(properties.get(name) or {}) for name in schema.get("required") or properties}


def _sample(schema: Json) -> object:
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "string")
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    return sample_arguments(schema) if kind == "object" else SAMPLES.get(kind, "text")
