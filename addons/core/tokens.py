"""Tokens counted with tiktoken's encodings, for calls whose provider reports none: text, messages, tools, whole requests and answers.

Exact for the text of OpenAI's models, near for others'. What is not text is rough (images) or left out (audio, files, what the
provider adds of its own, reasoning that it hides). The encodings themselves are handed in (`addons/tokenizer.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal, Protocol

from addons.core.call import Message, Part, RequestReading
from addons.core.jsonvalues import compact, count, dig, items, label, obj, objects, text

EncodingName = Literal["o200k_base", "cl100k_base"]


class Encoder(Protocol):
    """What is needed of a `tiktoken.Encoding`."""

    def encode_ordinary(self, text: str) -> list[int]: ...


CL100K_MODELS = (
    "gpt-4",
    "gpt-4-*",
    "gpt-3.5*",
    "gpt-35-*",
    "ft:gpt-4",
    "ft:gpt-4[-:]*",
    "ft:gpt-3.5*",
    "*davinci*",
    "*babbage*",
    "*curie*",
    "text-*ada-*",
    "code-search-ada-*",
    "ada",
    "code-cushman-*",
    "cushman-*",
    "text-embedding-*",
    "gpt2",
    "gpt-2",
)
"""OpenAI's older models, from tiktoken's `model.py`; the oldest had encodings of their own (p50k, r50k), to which this is the nearest."""


@dataclass(frozen=True, slots=True)
class Family:
    """How the models of one maker differ: tokens for each of o200k's in a text (`scale`), and what their chat template adds to a
    request (`reply`), to each message with its role (`message`), to a request with tools (`tools`) and to each tool call (`call`)."""

    scale: float = 1.0
    reply: int = 3
    message: int = 4
    tools: int = 12
    call: int = 6


FAMILIES: tuple[tuple[str, Family], ...] = (
    ("*gpt-oss*", Family(reply=63)),  # harmony's own system message
    ("o[1-9]*", Family(reply=2)),
    ("gpt-5*", Family(reply=2)),
    ("*claude-opus-4-[789]*", Family(1.5, 4, 3, 346, 45)),  # a new tokenizer, with the claude-*-5 below
    ("*claude-[a-z]*[a-z]-5*", Family(1.5, 4, 3, 346, 45)),
    ("*claude*", Family(1.16, 4, 3, 346, 45)),  # `tools` is Anthropic's own figure, "Tool use: pricing"
    ("*gemini*", Family(1.0, 0, 1, 0)),
    ("*llama-3.[1-9]*", Family(1.05, 30, 5)),  # the template states today's date
    ("*llama*", Family(1.06, 5, 5)),
    ("*qwen*", Family(1.05, 3, 6)),
    ("*mixtral*", Family(1.3, 6, 4)),
    ("*mistral*", Family(1.0, 3, 2)),
    ("*ministral*", Family(1.0, 3, 2)),
    ("*deepseek*", Family(1.04, 1, 3)),
    ("*glm*", Family(1.05, 2, 3)),
    ("sonar*", Family(1.0, 1, 0)),
)
"""By a glob of the model, the first that matches; medians over recorded calls. The defaults are those of OpenAI's models (OpenAI
cookbook, "How to count tokens with tiktoken": three for a message, its role, three before the answer) and of all others."""

WINDOW_CHARACTERS = 20_000
"""Encoded at once. On a million characters without a change between space and word tiktoken's regex engine runs out of stack, which
comes as a PanicException that no `except Exception` catches, or takes seconds. A window ends before a space, where a token ends
anyway; only a run that is longer than the window is cut within, at the cost of a token or two."""

MAX_CHARACTERS = 4_000_000
"""Counted of one text, half a second's work; what is longer is taken to go on as it began."""

TOOL_TOKENS = 7
PROPERTIES_TOKENS, PROPERTY_TOKENS, ENUM_TOKENS, ENUM_ITEM_TOKENS = 3, 3, -3, 3
"""Around the definition of a tool, its parameters, each of them, and the values that one may have (OpenAI cookbook, as above)."""

SCHEMA_DEPTH = 20  # deeper ones are an attack, not a tool

IMAGE_TOKENS = {"anthropic.messages": 1600, "gemini.generate": 258}
OTHER_IMAGE_TOKENS = 765
"""One image of about 1024 x 1024 pixels, by the providers' vision guides (OpenAI: detail high); its true size is not read."""

BARE = frozenset(
    {
        "openai.completions",
        "openai.embeddings",
        "gemini.embed",
        "cohere.embed",
        "anthropic.complete",
        "ollama.generate",
        "watsonx.generate",
    }
)
"""APIs whose input is the text alone, without roles."""


def _bare(model: str | None) -> str:
    """The name without the maker that gateways put before it."""
    return (model or "").lower().rpartition("/")[2]


@lru_cache(1024)
def encoding_for(model: str | None) -> EncodingName:
    """The encoding of a model: cl100k for OpenAI's older ones, o200k for all others and for what is not known."""
    return "cl100k_base" if any(fnmatchcase(_bare(model), glob) for glob in CL100K_MODELS) else "o200k_base"


@lru_cache(1024)
def family_of(model: str | None) -> Family:
    """What is known of the model's maker; OpenAI's figures for what is not."""
    return next((family for glob, family in FAMILIES if fnmatchcase(_bare(model), glob)), Family())


def count_text(encoder: Encoder, content: str | None) -> int:
    """The tokens of a text; special tokens in it are text like any other."""
    if not content:
        return 0
    counted = sum(len(encoder.encode_ordinary(window)) for window in windows(content[:MAX_CHARACTERS]))
    return counted if len(content) <= MAX_CHARACTERS else counted * len(content) // MAX_CHARACTERS


def windows(content: str) -> Iterator[str]:
    """The text in pieces of at most WINDOW_CHARACTERS that are encoded as the whole would be."""
    start = 0
    while len(content) - start > WINDOW_CHARACTERS:
        end = content.rfind(" ", start + 1, start + WINDOW_CHARACTERS)
        end = end if end > start else start + WINDOW_CHARACTERS
        yield content[start:end]
        start = end
    yield content[start:]


class Counter:
    """Counts for one model. `encoder` is the one that `encoding_for` names."""

    def __init__(self, encoder: Encoder, model: str | None) -> None:
        self._encoder = encoder
        self._family = family_of(model)

    def text(self, content: str | None) -> int:
        """A text alone."""
        return round(count_text(self._encoder, content) * self._family.scale)

    def input(self, api: str, request: RequestReading, body: dict[str, Any]) -> int:
        """What a request gives the model to read: messages, tool definitions and the schema that the answer must have.

        Reasoning of earlier turns is left out, since most providers do not bill it again.
        """
        image = IMAGE_TOKENS.get(api, OTHER_IMAGE_TOKENS)
        said = sum(self._part(part, image) for message in request.messages for part in message.parts if part.kind != "reasoning")
        if api in BARE:
            return said
        template = self._family.reply + self._family.message * len(request.messages)
        return said + template + self._tools(body) + self._format(body)

    def output(self, messages: Iterable[Message]) -> int:
        """What an answer says: text, reasoning as far as it is shown, tool calls."""
        return sum(self._part(part, 0) for message in messages for part in message.parts)

    def _part(self, part: Part, image: int) -> int:
        if part.kind == "image":
            return image
        if part.kind == "tool_call":
            return self._family.call + self.text(label(part.data, "name")) + self.text(part.text)
        return self.text(part.text) + (count(part.data, "tokens") or 0)  # a prompt may be given as tokens

    def _tools(self, body: dict[str, Any]) -> int:
        """Of any dialect; a provider's own tools (web search …) are left out."""
        tokens = 0
        for tool in definitions(body):
            schema = next((found for path in _SCHEMAS if (found := obj(tool, *path))), {})
            tokens += TOOL_TOKENS + self.text(_described(text(tool, "name") or "", tool)) + self._schema(schema, SCHEMA_DEPTH)
        return tokens + self._family.tools if tokens else 0

    def _schema(self, schema: dict[str, Any], depth: int) -> int:
        """Properties and, below them, those of objects and arrays."""
        properties = obj(schema, "properties") if depth else {}
        tokens = PROPERTIES_TOKENS if properties else 0
        for name, given in properties.items():
            value = given if isinstance(given, dict) else {}
            tokens += PROPERTY_TOKENS + self.text(_described(f"{name}:{label(value, 'type') or ''}", value))
            tokens += self._enum(items(value, "enum")) + self._schema(value, depth - 1) + self._schema(obj(value, "items"), depth - 1)
        return tokens

    def _enum(self, values: list[Any]) -> int:
        return ENUM_TOKENS + sum(ENUM_ITEM_TOKENS + self.text(str(value)) for value in values) if values else 0

    def _format(self, body: dict[str, Any]) -> int:
        schema = next((found for path in _FORMATS if isinstance(found := dig(body, *path), dict)), None)
        return self.text(compact(schema)) if schema else 0


_SCHEMAS = (("parameters",), ("input_schema",), ("parametersJsonSchema",), ("parameter_definitions",), ("inputSchema", "json"))

_FORMATS = (
    ("response_format", "json_schema", "schema"),  # OpenAI chat
    ("text", "format", "schema"),  # OpenAI responses
    ("generationConfig", "responseSchema"),  # Gemini
    ("format",),  # Ollama
)


def definitions(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects with the name of each tool: OpenAI's `function`, Gemini's `functionDeclarations`, Bedrock's `toolSpec`, or bare."""
    inner = obj(body, "request") or body  # Code Assist wraps the request
    for tool in (*objects(inner, "tools"), *objects(inner, "functions"), *objects(inner, "toolConfig", "tools")):
        declared = objects(tool, "functionDeclarations") or objects(tool, "function_declarations")
        found = declared or [obj(tool, "function") or obj(tool, "custom") or obj(tool, "toolSpec") or tool]
        yield from (one for one in found if text(one, "name"))


def _described(name: str, value: dict[str, Any]) -> str:
    return f"{name}:{(text(value, 'description') or '').removesuffix('.')}"
