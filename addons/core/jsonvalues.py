"""Typed values out of JSON that nobody has checked: what is missing or of another type is None (or empty), never an error.

Bodies come from clients and providers: cut, wrongly typed (`"usage": "x"`, `"choices": null`, numbers as strings), with lone
surrogates, NaN, or nested a thousand deep. Readers walk them with the functions here instead of with `[...]`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

MAX_COUNT = 2**53  # beyond this JSON numbers are not exact, and SQLite's integers end at 2**63
MAX_DIGITS = 16  # of MAX_COUNT; int() of a longer string from outside is not worth its time

_LONE_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:(")|\\?\Z)|[{}\[\],:]|[^\s{}\[\],:"]++', re.DOTALL)
_LONG_NUMBER = re.compile(r"[0-9]{20}|\.[0-9]{17}")  # more than 64 bits or than a float keeps
_CLOSERS = {ord("{"): b"}", ord("["): b"]"}


def parse(data: bytes) -> Any:
    """The JSON value in `data`, None when there is none. JSON as JavaScript and Python clients write it is read too:
    lone surrogates (as U+FFFD), NaN and Infinity, broken UTF-8 within strings."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _parse_leniently(data)


def _parse_leniently(data: bytes) -> Any:
    text = data.decode("utf-8", "replace").lstrip("\ufeff")
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(_LONE_SURROGATE.sub("\\\\ufffd", text), strict=False)
    except (ValueError, RecursionError):  # not JSON: the caller sees None
        return None


def parse_cut(data: bytes) -> Any:
    """The JSON value that `data` is the beginning of, up to the last value that is whole; None when nothing is.

    >>> parse_cut(b'{"model": "m", "messages": [{"role": "us')
    {'model': 'm', 'messages': [{}]}
    """
    end, closers = _last_whole(data)
    return parse(data[:end] + b"".join(reversed(closers))) if end else None


def _last_whole(data: bytes) -> tuple[int, list[bytes]]:
    """Where the last whole value ends, and the brackets then open (their closing bytes, outermost first)."""
    stack: list[bytes] = []
    safe, depth, is_value = 0, 0, True
    for token in _TOKEN.finditer(data):
        first = data[token.start()]
        if first in _CLOSERS:
            stack.append(_CLOSERS[first])
            safe, depth, is_value = token.end(), len(stack), first == ord("[")
        elif first in b"}]":
            if not stack:
                break
            stack.pop()
            safe, depth, is_value = token.end(), len(stack), False
        elif first == ord(","):
            safe, depth, is_value = token.start(), len(stack), bool(stack) and stack[-1] == b"]"
        elif first == ord(":"):
            is_value = True
        elif first == ord('"') and is_value and token[1]:
            safe, depth = token.end(), len(stack)
        if not stack:
            break
    return safe, stack[:depth]


def tail_values(data: bytes, keys: tuple[str, ...]) -> dict[str, Any]:
    """The last value of each of `keys` in the end of a JSON text whose beginning is missing."""
    text = data.decode("utf-8", "replace")
    found: dict[str, Any] = {}
    for key in keys:
        matches = list(re.finditer(rf'"{re.escape(key)}"\s*:\s*', text))
        if matches:
            value = _value_at(text, matches[-1].end())
            if value is not None:
                found[key] = value
    return found


def _value_at(text: str, start: int) -> Any:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, start)[0]
    except (ValueError, RecursionError):  # cut: as good as absent
        return None


def dig(value: Any, *path: str | int) -> Any:
    """What lies under `path` (keys of objects, indexes of arrays), None when it does not lead anywhere."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        elif isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text(value: Any, *path: str | int) -> str | None:
    """A string that is not empty."""
    found = dig(value, *path)
    return found if isinstance(found, str) and found else None


def label(value: Any, *path: str | int) -> str | None:
    """A name, which some send as a number (Vertex's `finishReason: 1`, OpenRouter's `code: 402`)."""
    found = dig(value, *path)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found) if abs(found) < MAX_COUNT else None
    return found if isinstance(found, str) and found else None


def count(value: Any, *path: str | int) -> int | None:
    """A whole number from 0 to MAX_COUNT; also as a float without a fraction or as digits in a string (protobuf's 64-bit integers)."""
    found = dig(value, *path) if path else value
    if type(found) is int:
        return found if 0 <= found < MAX_COUNT else None
    if isinstance(found, str):
        return int(found) if found.isascii() and found.isdigit() and len(found) <= MAX_DIGITS else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return int(found) if 0 <= found < MAX_COUNT and found == int(found) else None


def number(value: Any, *path: str | int) -> float | None:
    """A finite number, not negative (money, seconds)."""
    found = dig(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if 0 <= found < MAX_COUNT else None


def flag(value: Any, *path: str | int) -> bool:
    """Is it `true`?"""
    return dig(value, *path) is True


def items(value: Any, *path: str | int) -> list[Any]:
    """An array; empty when it is none."""
    found = dig(value, *path)
    return found if isinstance(found, list) else []


def objects(value: Any, *path: str | int) -> list[dict[str, Any]]:
    """The objects in an array."""
    return [item for item in items(value, *path) if isinstance(item, dict)]


def obj(value: Any, *path: str | int) -> dict[str, Any]:
    """An object; empty when it is none."""
    found = dig(value, *path)
    return found if isinstance(found, dict) else {}


def compact(value: Any) -> str:
    """JSON text without spaces, keys in the order they came: equal values give equal texts. Takes what `parse` gave.
    Empty for what is nested deeper than anything can write."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # an integer over 64 bits, or deeper than 254
        return _dump_slowly(value)


def _dump_slowly(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:  # an attack or a fault, nothing to show
        return ""


def compact_text(arguments: str) -> str:
    """`compact` of a JSON text (a streamed tool call and a whole one differ only in spaces); the text itself where it is no JSON
    or holds a number that would not come through unchanged."""
    if not arguments.startswith(("{", "[")) or _LONG_NUMBER.search(arguments):
        return arguments
    try:
        return orjson.dumps(orjson.loads(arguments)).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # incomplete or not JSON: shown as it came
        return arguments
