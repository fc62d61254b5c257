"""Where in a JSON text something stands: `messages[3].content`. Walked only where something was found."""

from __future__ import annotations

import re
from collections.abc import Sequence

from addons.core.redaction.jsonstrings import JsonStrings

MAX_PATH_LENGTH = 200

_PLAIN_KEY = re.compile(rb"[A-Za-z_$][\w$-]{0,40}")
_NO_STRUCTURE = bytes(set(range(256)) - set(b"{}[],:"))
UNNAMED = "*"
"""Stands for a key that is a secret itself, or that no path could hold."""


def paths(text: bytes, spans: Sequence[tuple[int, int]]) -> list[str]:
    """For each span (in order) the path of the value that it stands in; of a key, the object's. Keys that overlap a span are not shown."""
    if not spans:
        return []
    strings = JsonStrings(text[: spans[-1][1]])
    starts = strings.starts()
    walk = _Walk()
    found: list[str] = []
    at = 0  # the next span to be placed
    for index, gap in enumerate(strings.gaps):
        walk.pass_over(gap)
        begin = starts[index] if index < len(starts) else len(text) + 1
        while at < len(spans) and spans[at][0] < begin:  # a number, or no JSON
            found.append(walk.path())
            at += 1
        if index == len(starts):
            break
        raw = strings.raws[index]
        is_key = strings.is_key(index)
        inside = at
        while at < len(spans) and spans[at][0] <= begin + len(raw):
            found.append(walk.path(of_key=is_key))
            at += 1
        if is_key:
            walk.last = UNNAMED if at > inside or not _PLAIN_KEY.fullmatch(raw) else raw.decode()
    return found + [walk.path()] * (len(spans) - len(found))


class _Walk:
    """The containers that are open: an array's index, or an object's key."""

    def __init__(self) -> None:
        self.open: list[int | str] = []
        self.last = ""  # the string seen last, a key if a colon follows

    def pass_over(self, gap: bytes) -> None:
        for character in gap.translate(None, _NO_STRUCTURE):
            match character:
                case 0x7B:  # {
                    self.open.append("")
                case 0x5B:  # [
                    self.open.append(0)
                case 0x7D | 0x5D if self.open:  # } ]
                    self.open.pop()
                case 0x2C if self.open:  # ,
                    top = self.open[-1]
                    self.open[-1] = top + 1 if isinstance(top, int) else ""
                case 0x3A if self.open and isinstance(self.open[-1], str):  # :
                    self.open[-1] = self.last

    def path(self, of_key: bool = False) -> str:
        """As `.messages[3].content`."""
        steps = self.open[:-1] if of_key else self.open
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" if step else "" for step in steps)[:MAX_PATH_LENGTH]
