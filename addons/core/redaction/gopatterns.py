r"""Regular expressions in RE2's syntax (Go's, which gitleaks' rule files are written in), for Python's `re` over bytes.

Used only where google-re2 is not installed. What `re` writes otherwise is translated; what it cannot say is refused:

- `(?i)` in the middle holds to the end of its group, over every `|`: it becomes a group of its own.
- `$` is the very end, `\z` too; `\s` is without the vertical tab; `(?<name>…)`, `\Q…\E`, `\x{41}` and `[[:alpha:]]` have other forms.
- `\p{…}`, `\C` and `(?U)` have none.

Source: github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from re import _constants as _codes  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_SPACE = r"\t\n\f\r\x20"
_NO_SPACE = r"\x00-\x08\x0b\x0e-\x1f\x21-\xff"

_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t\x20",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r"\t\n\x0b\f\r\x20",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}

_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])")
_CLASS_NAME = re.compile(r"\[:(\^?)([a-z]+):\]")
_HEXADECIMAL = re.compile(r"\\x\{([0-9A-Fa-f]+)\}")
_KNOWN_FLAGS = set("ims")


class Untranslatable(ValueError):
    """`re` has no form of it; the text says of what."""


@dataclass(slots=True)
class _Translation:
    """`opened`: for each open group, the flags that it has got in its middle, each of which is an open group of `re`."""

    text: str
    at: int = 0
    out: list[str] = field(default_factory=list)
    opened: list[list[str]] = field(default_factory=lambda: [[]])
    multiline: list[bool] = field(default_factory=lambda: [False])

    def emit(self, text: str, taken: int) -> None:
        self.out.append(text)
        self.at += taken


def translate(pattern: str) -> str:
    """The pattern for `re`, to be encoded and compiled as bytes. Raises Untranslatable."""
    work = _Translation(pattern)
    while work.at < len(pattern):
        _STEPS.get(pattern[work.at], _literal)(work)
    if len(work.opened) > 1:
        raise Untranslatable("a ( without its )")
    return "".join([*work.out, ")" * len(work.opened[0])])


def _literal(work: _Translation) -> None:
    work.emit(work.text[work.at], 1)


def _escape(work: _Translation) -> None:
    if work.text.startswith(r"\Q", work.at):
        end = work.text.find(r"\E", work.at)
        quoted = work.text[work.at + 2 : end if end >= 0 else None]
        work.emit(re.escape(quoted), len(quoted) + (4 if end >= 0 else 2))
        return
    special = {r"\z": r"\Z", r"\s": f"[{_SPACE}]", r"\S": f"[^{_SPACE}]"}
    _escaped(work, special)


def _escaped(work: _Translation, special: dict[str, str]) -> None:
    if hexadecimal := _HEXADECIMAL.match(work.text, work.at):
        code = int(hexadecimal[1], 16)
        if code > 0xFF:
            raise Untranslatable(f"{hexadecimal[0]} is no byte")
        work.emit(f"\\x{code:02x}", len(hexadecimal[0]))
        return
    pair = work.text[work.at : work.at + 2]
    if pair in {r"\p", r"\P", r"\C", r"\Z"}:
        raise Untranslatable(f"{pair} is not known")
    work.emit(special.get(pair, pair), 2)


def _open(work: _Translation) -> None:
    if work.text.startswith("(?<", work.at) and work.text[work.at + 3 : work.at + 4] not in {"=", "!"}:
        work.emit("(?P<", 3)
    elif flags := _FLAGS.match(work.text, work.at):
        _flags(work, flags)
        return
    else:
        work.emit("(", 1)
        if work.text.startswith(("?P<", "?P>"), work.at):
            work.emit("?P", 2)
    work.opened.append([])
    work.multiline.append(work.multiline[-1])


def _flags(work: _Translation, found: re.Match[str]) -> None:
    on, off, end = found.groups()
    if unknown := (set(on) | set(off or "")) - _KNOWN_FLAGS:
        raise Untranslatable(f"the flag {sorted(unknown)[0]} is not known")
    shown = f"(?{on}-{off}:" if off else f"(?{on}:"
    work.emit("(?:" if not on and not off else shown, len(found[0]))
    multiline = ("m" in on or work.multiline[-1]) and "m" not in (off or "")
    if end == ":":
        work.opened.append([])
        work.multiline.append(multiline)
    else:
        work.opened[-1].append(work.out[-1])
        work.multiline[-1] = multiline


def _bar(work: _Translation) -> None:
    flags = work.opened[-1]
    work.emit(")" * len(flags) + "|" + "".join(flags), 1)


def _close(work: _Translation) -> None:
    work.out.append(")" * len(work.opened.pop()))
    work.multiline.pop()
    if not work.opened:
        if work.at < len(work.text):
            raise Untranslatable("a ) without its (")
        return
    work.emit(")", 1)


def _end(work: _Translation) -> None:
    work.emit("$" if work.multiline[-1] else r"\Z", 1)


def _class(work: _Translation) -> None:
    work.emit("[", 1)
    if work.text.startswith("^", work.at):
        work.emit("^", 1)
    if work.text.startswith("]", work.at):
        work.emit(r"\]", 1)
    while work.at < len(work.text) and work.text[work.at] != "]":
        if name := _CLASS_NAME.match(work.text, work.at):
            if name[1] or name[2] not in _POSIX:
                raise Untranslatable(f"{name[0]} is not known")
            work.emit(_POSIX[name[2]], len(name[0]))
        elif work.text[work.at] == "\\":
            _escaped(work, {r"\s": _SPACE, r"\S": _NO_SPACE})
        else:
            character = work.text[work.at]
            work.emit("\\" + character if character in "[&|~" else character, 1)
    work.emit("]", 1)


_STEPS = {"\\": _escape, "(": _open, ")": _close, "|": _bar, "$": _end, "[": _class}


def runs_away(translated: bytes) -> bool:
    """Could `re` take exponential time: is there a repetition of nothing but another one, as in `(a+)+` or `(x?[a-z]+)*`?

    Parts that may be missing do not count. Raises re.error for what is no expression.
    """
    return any(_nested(code, value) for code, value in _walk(_parser.parse(translated)))


_MANY = 10


def _walk(nodes: Any) -> Iterator[tuple[Any, Any]]:
    for code, value in nodes:
        yield code, value
        for inner in _inner(code, value):
            yield from _walk(inner)


def _inner(code: Any, value: Any) -> list[Any]:
    if code in _REPEATS:
        return [value[2]]
    if code is _codes.SUBPATTERN:
        return [value[3]]
    if code is _codes.BRANCH:
        return list(value[1])
    return []


def _nested(code: Any, value: Any) -> bool:
    return code in _REPEATS and value[1] > _MANY and any(_is_repetition(branch) for branch in _branches(value[2]))


def _branches(nodes: Any) -> list[Any]:
    """The alternatives of a sequence that is nothing but a group of them, else the sequence."""
    if len(nodes) == 1 and nodes[0][0] in {_codes.SUBPATTERN, _codes.BRANCH}:
        return [branch for inner in _inner(*nodes[0]) for branch in _branches(inner)]
    return [nodes]


def _is_repetition(nodes: Any) -> bool:
    """Is all that must be there one repetition of variable length?"""
    needed = [(code, value) for code, value in nodes if not (code in _REPEATS and value[0] == 0 and value[1] <= _MANY)]
    return len(needed) == 1 and needed[0][0] in _REPEATS and needed[0][1][0] != needed[0][1][1] and needed[0][1][1] > _MANY


_REPEATS = {_codes.MAX_REPEAT, _codes.MIN_REPEAT}
