"""What finds patterns and keywords: google-re2 and ahocorasick_rs, or where they are not installed Python's own `re`.

Both give the same findings. A `Pattern` is what the two kinds of compiled expressions have in common; `Keywords` gives every place
where one of its words stands.

How long the interpreter's lock is held (measured, CPython 3.13): ahocorasick_rs gives it up while it searches, google-re2 while it
matches; `re` and `bytes.lower` do not. Whatever holds it is therefore given at most `CHUNK` bytes at a time, between which other
threads get their turn (`sys.getswitchinterval`, 5 ms).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Protocol

from addons.core.redaction.gopatterns import runs_away, translate

try:
    import re2
except ImportError:  # no wheel for this platform
    re2 = None
try:
    import ahocorasick_rs
except ImportError:
    ahocorasick_rs: ModuleType | None = None  # type: ignore[no-redef]

CHUNK = 128 * 1024
"""Bytes that are searched for keywords at a time."""

NATIVE = re2 is not None and ahocorasick_rs is not None
"""Are both libraries there?"""

Hit = tuple[int, int, int]
"""Number of the word, start, end."""


class Match(Protocol):
    """What a match of either kind can do."""

    def span(self, group: int = 0, /) -> tuple[int, int]: ...


class Pattern(Protocol):
    """What a compiled expression of either kind can do."""

    @property
    def groups(self) -> int: ...
    def finditer(self, data: bytes, /) -> Iterator[Match]: ...
    def search(self, data: bytes, /) -> Match | None: ...


def compile_pattern(pattern: str, *, native: bool = NATIVE) -> Pattern:
    """A pattern in RE2's syntax, over bytes. Raises ValueError, whose text says what is wrong with it."""
    if native:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1  # bytes are bytes, as in `re`
        options.log_errors = False
        try:
            found: Pattern = re2.compile(pattern.encode(), options)
        except re2.error as error:
            reason = error.args[0] if error.args else ""
            raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
        return found
    try:
        translated = translate(pattern).encode()
        if runs_away(translated):
            raise ValueError("a repetition in a repetition, which could take for ever (google-re2 can, but is not installed)")
        return re.compile(translated)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{error} (google-re2, which may know more, is not installed)") from None


def compile_test(pattern: str, *, native: bool = NATIVE) -> Callable[[bytes], bool]:
    """Whether a pattern, which has been compiled before, stands anywhere in some bytes. Raises ValueError.

    A set of one pattern says so in a third of the time that a match takes. Where its automaton grows too large it says no: then more is
    taken for a secret, not less."""
    if not native:
        search = compile_pattern(pattern, native=False).search
        return lambda data: search(data) is not None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    test = re2.Set.SearchSet(options)
    test.Add(pattern.encode())
    test.Compile()
    match: Callable[[bytes], list[int]] = test.Match
    return lambda data: bool(match(data))


class Keywords:
    """Where words (bytes, lower-cased) stand in lower-cased data, all of them, also inside one another."""

    def __init__(self, words: Sequence[bytes], *, native: bool = NATIVE) -> None:
        self._reach = max(map(len, words), default=1) - 1
        self._search = _native(words) if native and words else _plain(words)

    def chunks(self, data: bytes) -> Iterator[tuple[int, list[Hit]]]:
        """For each part of the data its beginning, and the hits that begin in it, with offsets from there, in order of their ends.

        `data` need not be lower-cased.
        """
        for begin in range(0, len(data), CHUNK):
            hits = self._search(data[begin : begin + CHUNK + self._reach].lower())
            if begin + CHUNK < len(data) and self._reach:
                hits = [hit for hit in hits if hit[1] < CHUNK]
            yield begin, hits


class _Search(Protocol):
    def __call__(self, data: bytes, /) -> list[Hit]: ...


def _native(words: Sequence[bytes]) -> _Search:
    automaton = ahocorasick_rs.BytesAhoCorasick(words, implementation=ahocorasick_rs.Implementation.DFA)

    def search(data: bytes) -> list[Hit]:
        return automaton.find_matches_as_indexes(data, overlapping=True)

    return search


def _plain(words: Sequence[bytes]) -> _Search:
    numbers = {word: number for number, word in enumerate(words)}
    within = {word: [(numbers[word[:n]], n) for n in range(1, len(word) + 1) if word[:n] in numbers] for word in words}
    pattern = re.compile(b"(?=(" + trie(words) + b"))") if words else None

    def search(data: bytes) -> list[Hit]:
        found = pattern.finditer(data) if pattern else ()
        hits = [(number, match.start(), match.start() + length) for match in found for number, length in within[match[1]]]
        return sorted(hits, key=lambda hit: hit[2])

    return search


def trie(words: Iterable[bytes]) -> bytes:
    """A regular expression for the longest of `words`, shared beginnings written once: many times faster than a flat list."""
    heads: dict[bytes, set[bytes]] = {}
    whole = False
    for word in words:
        if word:
            heads.setdefault(word[:1], set()).add(word[1:])
        else:
            whole = True
    if not heads:
        return b""
    branches = b"|".join(re.escape(head) + trie(tails) for head, tails in sorted(heads.items()))
    return b"(?:" + branches + b")" + (b"?" if whole else b"")
