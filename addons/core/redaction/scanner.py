"""Find credentials in bytes: `scan(data) -> list[Finding]`, in order and without overlap.

Linear in the size of the data. Two passes, both over bytes (bodies are never decoded for it):

1. Runs of at least `_RUN` token characters; only inside these a trie of all prefixes is looked for, and where one
   stands at a boundary its rule is matched. Ordinary text has few such runs.
2. A trie of the context keywords over the lower-cased data; at each hit the rules of that keyword are matched.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import log2

from addons.core.redaction.rules import CONTEXT_RULES, EXAMPLES, PAGING_NAMES, TOKEN_RULES, ContextRule, TokenRule

_RUN = re.compile(rb"[A-Za-z0-9_./+=~:-]{16,}")
"""Shorter than the shortest token (`sk_test_` and ten characters); a token's characters are all in this class."""

_BOUNDARY = rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf])|(?<=\\u00[0-9a-fA-F]{2})|(?<=%[0-9a-fA-F]{2}))"
"""A token begins where no token character stands before it, or after an escape (whose last character is a letter)."""

_AFTER = 128
"""How far a token with its mark in the middle may reach behind that mark."""

_AT_BOUNDARY = re.compile(_BOUNDARY)
_LAST_RUN = re.compile(rb"[A-Za-z0-9_./+=~:-]+\Z")
_LAST_RUN_REACH = 512
_MIN_CUT_PREFIX = 3  # shorter marks (`ey`, `do`, `gl`) begin ordinary words

_EXAMPLE = re.compile("|".join(EXAMPLES).encode(), re.IGNORECASE)
_PAGING = re.compile(("(?:" + "|".join(PAGING_NAMES) + ")_?-?$").encode(), re.IGNORECASE)
_PAGING_REACH = 14  # the longest of these words and a separator


_WINDOW, _OVERLAP = 256 * 1024, 256


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret at `data[start:end]`; `keep_tail` says whether its last characters may be shown."""

    start: int
    end: int
    rule: str
    keep_tail: bool = True


@dataclass(frozen=True, slots=True)
class _Compiled[Rule: (TokenRule, ContextRule)]:
    rule: Rule
    pattern: re.Pattern[bytes]


def scan(data: bytes, cut: bool = False) -> list[Finding]:
    """All secrets that the rules know in `data`; overlapping ones are joined under the first one's name.

    `cut`: the end of `data` is missing, so what only begins like a token there counts as one.
    """
    return merge([*_tokens(data), *_contexts(data), *(_cut_token(data) if cut else ())])


def scan_shapes(data: bytes) -> list[Finding]:
    """Only what is a secret by its own shape, wherever it stands."""
    return list(_tokens(data))


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted, with overlaps joined: no character of any of them is left over."""
    joined: list[Finding] = []
    for found in sorted(findings, key=lambda f: (f.start, -f.end)):
        if joined and found.start < joined[-1].end:
            last = joined[-1]
            joined[-1] = Finding(last.start, max(last.end, found.end), last.rule, last.keep_tail and found.keep_tail)
        else:
            joined.append(found)
    return joined


def _tokens(data: bytes) -> Iterator[Finding]:
    prefix, rules = _token_table()
    for run in _RUN.finditer(data):
        for hit in _in_windows(prefix, data, run.start(), run.end()):
            if found := _first_token(data, hit.start(), rules[hit.group()]):
                yield found


def _in_windows(pattern: re.Pattern[bytes], data: bytes, start: int, end: int) -> Iterator[re.Match[bytes]]:
    """As `finditer`, a window at a time: one search over megabytes without a hit would hold the interpreter's lock, and with it
    the event loop, all the while. Hits are prefixes and keywords, far shorter than the overlap."""
    at = start
    for window in range(start, end, _WINDOW):
        for hit in pattern.finditer(data, max(at, window), min(end, window + _WINDOW + _OVERLAP)):
            if hit.start() >= window + _WINDOW:
                break
            at = hit.end()
            yield hit


def _first_token(data: bytes, at: int, rules: Sequence[_Compiled[TokenRule]]) -> Finding | None:
    for compiled in rules:
        rule = compiled.rule
        start = max(0, at - rule.before)
        match = compiled.pattern.search(data, start, at + _AFTER) if rule.before else compiled.pattern.match(data, at)
        if match and match.start() <= at and _is_secret(match.group(), rule):
            return Finding(match.start(), match.end(), rule.name)
    return None


def _cut_token(data: bytes) -> Iterator[Finding]:
    prefix, rules = _token_table()
    run = _LAST_RUN.search(data, max(0, len(data) - _LAST_RUN_REACH))
    for hit in prefix.finditer(data, run.start()) if run else ():
        begun = len(hit.group()) >= _MIN_CUT_PREFIX and hit.end() < len(data) and _AT_BOUNDARY.match(data, hit.start())
        if begun:
            yield Finding(hit.start(), len(data), rules[hit.group()][0].rule.name, keep_tail=False)


def _contexts(data: bytes) -> Iterator[Finding]:
    keyword, rules = _context_table()
    for hit in _in_windows(keyword, data.lower(), 0, len(data)):
        for compiled in rules[hit.group()]:
            match = compiled.pattern.match(data, hit.end())
            if match and _is_secret(match["secret"], compiled.rule) and not _is_paging(data, hit):
                rule = compiled.rule
                yield Finding(match.start("secret"), match.end("secret"), rule.name, rule.keep_tail)


def _is_paging(data: bytes, hit: re.Match[bytes]) -> bool:
    return hit.group() == b"token" and bool(_PAGING.search(data, max(0, hit.start() - _PAGING_REACH), hit.start()))


def _is_secret(value: bytes, rule: TokenRule | ContextRule) -> bool:
    """Do the floors hold? A rule without floors is sure of its shape."""
    if rule.digits and sum(48 <= byte <= 57 for byte in value) < rule.digits:
        return False
    if rule.entropy and entropy(value) < rule.entropy:
        return False
    return not _EXAMPLE.search(value)


def entropy(value: bytes) -> float:
    """Shannon entropy in bits per byte."""
    size = len(value)
    return -sum(n / size * log2(n / size) for n in Counter(value).values())


def _trie(words: Iterable[bytes]) -> bytes:
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
    branches = b"|".join(re.escape(head) + _trie(tails) for head, tails in sorted(heads.items()))
    return b"(?:" + branches + b")" + (b"?" if whole else b"")


def _grouped[Entry](pairs: Iterable[tuple[str, Entry]]) -> dict[bytes, list[Entry]]:
    """By keyword; a keyword that begins with another one also gets that one's rules, after its own."""
    table: dict[bytes, list[Entry]] = {}
    for word, entry in pairs:
        table.setdefault(word.encode(), []).append(entry)
    return {
        word: [rule for other in sorted(table, key=len, reverse=True) if word.startswith(other) for rule in table[other]] for word in table
    }


@cache
def _token_table() -> tuple[re.Pattern[bytes], dict[bytes, list[_Compiled[TokenRule]]]]:
    pairs = []
    for rule in TOKEN_RULES:
        shape = f"{rule.lead}{re.escape(rule.prefix)}{rule.rest}".encode()
        pairs.append((rule.prefix, _Compiled(rule, re.compile(_BOUNDARY + shape))))
    table = _grouped(pairs)
    return re.compile(_trie(table)), table


@cache
def _context_table() -> tuple[re.Pattern[bytes], dict[bytes, list[_Compiled[ContextRule]]]]:
    pairs = []
    for rule in CONTEXT_RULES:
        for word in rule.keywords:
            pairs.append((word, _Compiled(rule, re.compile(rule.pattern.encode(), re.IGNORECASE))))
    table = _grouped(pairs)
    return re.compile(_trie(table)), table
