"""What may be asked of `token-count` and `cost-estimate`: bodies checked field by field, in the words of any dialect.

MalformedField(ValueError)   a field that is missing or is not what it should be; `field` is its dotted place
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from addons.core.call import RequestReading, Usage
from addons.core.dialects import DIALECTS
from addons.core.jsonvalues import MAX_COUNT, objects, text

Fields = dict[str, Any]

SHOWN_CHARACTERS = 40  # of a wrong value, in its error


class MalformedField(ValueError):
    """`field` is empty where the body as a whole is meant."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field


@dataclass(frozen=True, slots=True)
class ToCount:
    """What to count: a plain text, or a request of the dialect `api`. `body` holds its tools."""

    model: str | None
    text: str | None = None
    api: str = "openai.chat"
    request: RequestReading = field(default_factory=RequestReading)
    body: Fields | None = None


@dataclass(frozen=True, slots=True)
class ToPrice:
    """What to price. `count` is what the input is counted from where `usage` has none."""

    model: str
    provider: str | None
    usage: Usage
    count: ToCount | None


def read_object(content: bytes) -> Fields:
    """A JSON object. Raises MalformedField."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise MalformedField("", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise MalformedField("", f"the body should be a JSON object, not {_shown(value)}")
    return value


def read_count(body: Fields) -> ToCount:
    """The body of `token-count`. Raises MalformedField."""
    model = _string(body, "model")
    given = [field for field in CONTENTS if body.get(field) is not None]
    if len(given) != 1:
        said = f"of {' and '.join(given)} only one can be counted" if given else "nothing to count"
        raise MalformedField(given[1] if given else "text", f"{said}; give one of {', '.join(CONTENTS)}")
    for name, check in (*CONTENTS.items(), *BESIDE.items()):
        if body.get(name) is not None:
            check(name, body[name])
    if given == ["text"]:
        said = body["text"]
        return ToCount(model, text=said if isinstance(said, str) else "\n".join(said))
    api = _api(given[0], body)
    return ToCount(model, api=api, request=DIALECTS[api].request("", body), body=body)


def read_cost(body: Fields) -> ToPrice:
    """The body of `cost-estimate`. Raises MalformedField."""
    model = _string(body, "model")
    if model is None:
        raise MalformedField("model", "missing but required")
    counts = {field: _count(body, field) for field in (*USAGE, *LIMITS)}
    output = next((counts[field] for field in ("output_tokens", *LIMITS) if counts[field] is not None), None)
    usage = Usage(**{field: counts[field] for field in USAGE if field != "output_tokens"}, output_tokens=output)
    if usage.input_tokens is None and not any(body.get(field) is not None for field in CONTENTS):
        raise MalformedField("input_tokens", f"missing; give it, or what to count it from ({', '.join(CONTENTS)})")
    cached = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    if usage.input_tokens is not None and cached > usage.input_tokens:
        raise MalformedField("input_tokens", f"{usage.input_tokens} should be the total, with the {cached} cached ones in it")
    return ToPrice(model, _string(body, "provider"), usage, read_count(body) if usage.input_tokens is None else None)


USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Names of the most that may be written, which stand for `output_tokens` where that is not given."""


def _api(field: str, body: Fields) -> str:
    """The dialect that a request is in, by the fields it has."""
    if field == "messages":
        anthropic = body.get("system") is not None or any("input_schema" in tool for tool in objects(body, "tools"))
        return "anthropic.messages" if anthropic or "claude" in (text(body, "model") or "").lower() else "openai.chat"
    if field == "input" and isinstance(body["input"], list) and not objects(body, "input"):
        return "openai.embeddings"
    return {"input": "openai.responses", "prompt": "openai.completions", "contents": "gemini.generate"}[field]


def _string(body: Fields, field: str) -> str | None:
    value = body.get(field)
    if value is not None and not (isinstance(value, str) and value):
        raise MalformedField(field, f"should be a string, not {_shown(value)}")
    return value


def _count(body: Fields, field: str) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_COUNT:
        raise MalformedField(field, f"should be a whole number from 0, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """A wrong value; of longer ones their kind."""
    kinds: dict[type[Any], str] = {dict: "an object", list: "a list", str: "a string"}
    shown = orjson.dumps(value).decode() if isinstance(value, str | int | float | bool | None) else ""
    return shown if shown and len(shown) <= SHOWN_CHARACTERS else kinds.get(type(value), "that")


def _texts(field: str, value: Any) -> None:
    """A string, or several."""
    if not isinstance(value, str | list):
        raise MalformedField(field, f"should be a string or a list of strings, not {_shown(value)}")
    for number, item in enumerate(value if isinstance(value, list) else ()):
        if not isinstance(item, str):
            raise MalformedField(f"{field}[{number}]", f"should be a string, not {_shown(item)}")


def _several(field: str, value: Any) -> None:
    """A string, or a list of anything that is not nothing."""
    if not isinstance(value, str | list):
        raise MalformedField(field, f"should be a string or a list, not {_shown(value)}")
    for number, item in enumerate(value if isinstance(value, list) else ()):
        if item is None or isinstance(item, bool):
            raise MalformedField(f"{field}[{number}]", f"should be an object, a string or a token, not {_shown(item)}")


def _objects(field: str, value: Any) -> None:
    if not isinstance(value, list):
        raise MalformedField(field, f"should be a list, not {_shown(value)}")
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            raise MalformedField(f"{field}[{number}]", f"should be an object, not {_shown(item)}")


def _messages(field: str, value: Any) -> None:
    _objects(field, value)
    if not value:
        raise MalformedField(field, "should hold at least one message")
    for number, item in enumerate(value):
        if not text(item, "role"):
            raise MalformedField(f"{field}[{number}].role", f"should be a string, not {_shown(item.get('role'))}")
        content = item.get("content")
        if content is not None and not isinstance(content, str | list):
            raise MalformedField(f"{field}[{number}].content", f"should be a string or a list of parts, not {_shown(content)}")


def _contents(field: str, value: Any) -> None:
    """Gemini takes one turn without a list around it."""
    if not isinstance(value, str | dict):
        _objects(field, value)


Check = Callable[[str, Any], None]

CONTENTS: dict[str, Check] = {"text": _texts, "messages": _messages, "input": _several, "prompt": _several, "contents": _contents}
BESIDE: dict[str, Check] = {"system": _several, "instructions": _several, "tools": _objects}
"""The fields that hold what is counted, one of them; and those that may stand beside it. Each raises MalformedField."""
