"""What pure functions have given, kept for the next time: the same few names, hosts and paths come with every call."""

from __future__ import annotations

from collections.abc import Callable, Hashable

MOST = 1024
"""Answers kept of one function, by default. What is asked comes from clients, so it has to have a bound."""

LONGEST = 256
"""Characters, or bytes, of a question that is kept. Honest names are shorter, and no client is to fill the memory with long ones."""


class Memo[Asked: Hashable, Answer](dict[Asked, Answer]):
    """`memo[asked]` is `find(asked)`, which must depend on nothing else. A dictionary's own look-up costs a third of `lru_cache`'s.

    When it is full it begins anew, which costs only those who ask for ever new things.
    """

    def __init__(self, find: Callable[[Asked], Answer], most: int = MOST) -> None:
        super().__init__()
        self._find, self._most = find, most

    def __missing__(self, asked: Asked) -> Answer:
        answer = self._find(asked)
        if _length(asked) <= LONGEST:
            if len(self) >= self._most:
                self.clear()
            self[asked] = answer
        return answer


def _length(asked: object) -> int:
    """Of a text, or of all texts of a tuple."""
    if isinstance(asked, str | bytes):
        return len(asked)
    return sum(map(_length, asked)) if isinstance(asked, tuple) else 0
