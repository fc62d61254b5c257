"""One JSON text of an answer: which strings it has, what each of them is, and the same bytes with some strings changed.

Where a string stands says what it is, in every dialect: a tool call's arguments are JSON in a string (OpenAI), pieces of that
(Anthropic's `partial_json`) or an object (Gemini, Ollama, Anthropic's whole `input`); all else is text or not to be touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from addons.core.jsonvalues import parse

Mode = Literal["text_and_tools", "text", "off"]
Path = tuple[str | int, ...]
Form = Literal["opaque", "text", "tool", "tool_json"]

_NESTING: dict[tuple[Mode, Form], int] = {
    ("text_and_tools", "text"): 1,
    ("text_and_tools", "tool"): 1,
    ("text_and_tools", "tool_json"): 2,
    ("text", "text"): 1,
}
"""How often a secret is escaped that is put into such a string. What is not listed is left alone."""

_OPAQUE = frozenset(
    ("signature", "thoughtSignature", "thought_signature", "encrypted_content", "logprobs", "logprobsResult", "obfuscation", "inlineData")
)
"""Signed, encrypted, or a list of the model's own tokens with their bytes."""

_TOOL_JSON = frozenset(("arguments", "partial_json"))
_TOOL_INPUT = _TOOL_JSON | {"input", "args", "partialArgs", "action", "operation", "code", "queries"}
_TOOL_CALLS = frozenset(("tool_calls", "function_call", "functionCall", "executableCode"))

_STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)


Leaf = tuple[Path, bool]
"""Where a string of a JSON value stands, and whether it is a key: a key has the path of the object that it is in."""


def leaves(value: Any) -> list[Leaf]:
    """All strings of a value, keys too, in the order in which they are written. Without recursion: what comes may be nested deep."""
    if isinstance(value, str):
        return [((), False)]
    found: list[Leaf] = []
    open_: list[tuple[Path, bool, Iterator[tuple[Any, Any]]]] = [_opened((), value)]
    while open_:
        path, has_keys, members = open_[-1]
        for key, child in members:
            if has_keys:
                found.append((path, True))
            if isinstance(child, str):
                found.append(((*path, key), False))
            elif isinstance(child, dict | list):
                open_.append(_opened((*path, key), child))
                break
        else:
            open_.pop()
    return found


def _opened(path: Path, value: Any) -> tuple[Path, bool, Iterator[tuple[Any, Any]]]:
    if isinstance(value, dict):
        return path, True, iter(value.items())
    return path, False, iter(enumerate(value)) if isinstance(value, list) else iter(())


def form_of(path: Path) -> Form:
    """What the string at `path` is, by the keys that lead to it. Within a tool's input no name means anything."""
    form: Form = "text"
    for place, key in enumerate(path):
        if key in _TOOL_INPUT:
            return "tool_json" if key in _TOOL_JSON and place == len(path) - 1 else "tool"
        if key in _OPAQUE:
            return "opaque"
        if key in _TOOL_CALLS:
            form = "tool"
    return form


def nesting_of(form: Form, mode: Mode) -> int:
    """How often a secret that is put there is escaped; 0: nothing is put there."""
    return _NESTING.get((mode, form), 0)


class JsonText:
    """A JSON text with the places of its strings. Nothing but the strings that are put in anew changes."""

    __slots__ = ("_leaves", "_numbers", "_parts", "value")

    def __init__(self, value: Any, parts: list[bytes], found: list[Leaf]) -> None:
        """Use `read`. `parts` are, by turns, what stands between the strings and their insides."""
        self.value = value
        self._parts = parts
        self._leaves = found
        self._numbers: dict[Path, int] | None = None

    @classmethod
    def read(cls, raw: bytes, data: bytes) -> JsonText | None:
        """`raw` is `data` with what frames it. None where that is no JSON, or not what it seems (an object with a key twice)."""
        value = parse(data)
        if value is None:
            return None
        parts, found = _STRING.split(raw), leaves(value)
        return cls(value, parts, found) if len(parts) == 2 * len(found) + 1 else None

    def __getitem__(self, path: Path) -> bytes:
        """The string at `path` as it is written, without its quotes; empty where there is none."""
        number = self._number(path)
        return b"" if number is None else self._parts[number]

    def holding(self, needle: bytes) -> Iterator[tuple[int, Leaf, bytes]]:
        """Number (for `changed`), place and raw text of every string that has `needle` in it."""
        for place, raw in enumerate(self._parts[1::2]):
            if needle in raw:
                yield 2 * place + 1, self._leaves[place], raw

    def changed(self, changes: Mapping[int | Path, bytes]) -> bytes:
        """The text with other strings, by number or path."""
        parts = self._parts.copy()
        for place, raw in changes.items():
            number = place if isinstance(place, int) else self._number(place)
            if number is not None:
                parts[number] = raw
        return b'"'.join(parts)

    def _number(self, path: Path) -> int | None:
        if self._numbers is None:
            self._numbers = {path: 2 * place + 1 for place, (path, is_key) in enumerate(self._leaves) if not is_key}
        return self._numbers.get(path)
