r"""Values that have a name: `NAME = value` in code, shell, YAML, JSON, XML and headers.

From where a name ends, one expression finds what stands between and where the value begins. It is matched there and nowhere else,
each of its parts is bounded and none gives anything back (`{…}+`), so an attempt takes some hundred steps at most. It sees text inside
of text: a quote may be `\"`, a line's end `\n`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_VALUE_BYTES = 4096
MAX_BARE_BYTES = 512
MAX_AFTER_EQUALS_BYTES = 96
"""Of a bare value with a `=` inside, which may as well be the next name's: more would cost too much where many follow."""

MIN_VALUE_BYTES = 6

_QUOTE = rb"\\{0,3}[\"'`]"
_GAP = rb"(?:[ \t\r\n]|\\{1,3}[nrt])"

_NAME = re.compile(rb"[\w.-]*+")
_BETWEEN = re.compile(
    rb"(?: [\w.-]{1,20}+){0,2}+"  # further words of the name; its type (`var x string = `)
    rb"(?:" + _QUOTE + rb")?\]?"
    rb"(?:"
    rb"(?:,?"
    + _GAP
    + rb"{1,20}+(?:"
    + _QUOTE
    + rb")?(?i:secret_?)?(?i:value)(?:"
    + _QUOTE
    + rb")?"
    + _GAP
    + rb"{0,5}+[=:])"  # name: K, value: V
    rb"|" + _GAP + rb"{0,5}+(?::[ ]{0,2}+[&\w.\[\]<>|?]{1,40}+[ ]{1,2}+=|[?.|+:]{0,3}+={1,3}+>?|:|=>|->|>|(?P<weak>[,(|]))"
    rb")"
    rb"(?P<gap>" + _GAP + rb"{0,20}+)"
    rb"(?:[bBrRuUfF@$]?(?P<quote>" + _QUOTE + rb"))?"
)
_BETWEEN_BARE = re.compile(rb"[ =]{1,2}+(?P<weak>(?!))?(?P<gap>)(?P<quote>" + _QUOTE + rb")?")
"""Between the name of a command's option and its value: a space."""

_OPTION = re.compile(rb"(?:^|[\s\"'=(\[])--?(?:[A-Za-z][\w-]*)?\Z")
_NAME_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_NAME_REACH = 40

_QUOTED = {quote: re.compile(rb"[^" + quote + rb"\\\r\n]{%d,%d}+" % (MIN_VALUE_BYTES, MAX_VALUE_BYTES)) for quote in (b'"', b"'", b"`")}
_BARE_BYTES = rb"[^\s\"'`\\<>()\[\]{},;|&"
_BARE = re.compile(
    _BARE_BYTES
    + rb"=]{%d,%d}+" % (MIN_VALUE_BYTES, MAX_BARE_BYTES)
    + rb"(?:&(?![\w.%-]{0,40}+=)"
    + _BARE_BYTES
    + rb"=]{0,100}+){0,4}"  # an ampersand, but not that of the next parameter
    + rb"={0,2}"
)
_BARE_AND_EQUALS = re.compile(_BARE_BYTES + rb"]{0,%d}+" % MAX_AFTER_EQUALS_BYTES)
_BARE_END = b".,:!?"
_STAND_IN = re.compile(rb"\*\*\*|[$<{%#]|\.\.\.|\[")
"""What begins so is no value: a mask, a variable, a template's place."""

_LINE_END = re.compile(rb"[\r\n]|\\{1,3}[nr]")
_ESCAPED = re.compile(rb"(?:\\[nrtbf]|\\u00[0-9a-fA-F]{2}|%[0-9a-fA-F]{2})\Z")


class Assignment(NamedTuple):
    """`name_end` is where the name ends with all that stands before the value, `full_end` the value's end if it has a `=` inside.

    `quoted`: quotes stand around it. `weak`: only a comma or a bracket stands between, as in a list or a call. `code`: it is called.
    """

    name_end: int
    start: int
    end: int
    full_end: int
    quoted: bool
    weak: bool
    code: bool


def name_end(data: bytes, at: int) -> int:
    """Where the name ends that has a word ending at `at`."""
    found = _NAME.match(data, at)
    return found.end() if found else at


def name_start(data: bytes, at: int) -> int:
    """Where the name begins that has a word beginning at `at`."""
    begin = max(0, at - _NAME_REACH)
    return begin + len(data[begin:at].rstrip(_NAME_BYTES))


def find_assignment(data: bytes, start: int, end: int) -> Assignment | None:
    """The value of the name that stands at `data[start:end]`, or None where there is none."""
    found = _BETWEEN.match(data, end) or _option(data, start, end)
    if found is None:
        return None
    quote, weak = found["quote"], bool(found["weak"])
    at = found.end()
    if quote:
        value = _QUOTED[quote[-1:]].match(data, at)
        if value is None or _STAND_IN.match(data, at):
            return None
        return Assignment(found.start("gap"), at, value.end(), value.end(), True, weak, False)
    gap = found["gap"]
    if gap and data[found.start("gap") - 1] != _CLOSING and _LINE_END.search(gap):
        return None
    value = _BARE.match(data, at)
    full = _BARE_AND_EQUALS.match(data, at if value is None else value.end())
    if full is None or full.end() - at < MIN_VALUE_BYTES or _STAND_IN.match(data, at):
        return None
    return _bare(data, found.start("gap"), (at, value.end() if value else at, full.end()), weak)


_CLOSING = ord(">")


def _bare(data: bytes, ends: int, value: tuple[int, int, int], weak: bool) -> Assignment:
    start, last, full = value
    code = data[full : full + 1] in {b"(", b"["}
    stop = start + len(data[start:last].rstrip(_BARE_END))
    full_stop = start + len(data[start:full].rstrip(_BARE_END))
    return Assignment(ends, start, stop, full_stop, False, weak, code)


def _option(data: bytes, start: int, end: int) -> re.Match[bytes] | None:
    before = data[max(0, start - _NAME_REACH) : start]
    return _BETWEEN_BARE.match(data, end) if b"-" in before and _OPTION.search(before) else None


def begins_word(data: bytes, at: int) -> bool:
    """Does a word of a name begin here: after no letter or digit, or with a capital after a small one (`myAdobeKey`)?"""
    if not at:
        return True
    before, first = data[at - 1], data[at]
    if not (48 <= before <= 57 or 65 <= before <= 90 or 97 <= before <= 122):
        return True
    if 65 <= first <= 90 and before > 90:
        return True
    return bool(_ESCAPED.search(data[max(0, at - 6) : at]))
