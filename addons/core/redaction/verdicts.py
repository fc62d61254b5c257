"""Is what a rule has matched a secret: beside what it stands, how random it is, and whether an allow-list knows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from math import log2

from addons.core.redaction.checksums import CHECKS
from addons.core.redaction.engines import compile_test
from addons.core.redaction.ruleset import AllowList, Rule, Target

NEAR_BYTES = 1000
"""How far before a match the words may stand that a rule wants `near`."""

_MAX_JUDGED_BYTES = 512
"""Longer secrets are judged by their beginning; any stopword stands somewhere in enough base64."""

_MAX_LINE_BYTES = 1000
_NOT_DIGITS = bytes(byte for byte in range(256) if not 48 <= byte <= 57)

_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_BLOB = frozenset(b"+/")
_LEADS = re.compile(rb"(?:\\[nrtbf]|\\u00[0-9a-fA-F]{2}|\\x[0-9a-fA-F]{2}|%[0-9a-fA-F]{2}|=[0-9A-F]{2}|(?:^|[^\w-])-[A-Za-z])\Z")
"""What may stand right before a word and is no part of it: an escape (JSON, Python, URL, quoted-printable), an option (`-p`)."""

_N_LOG_N = [n * log2(n) if n else 0.0 for n in range(513)]

_ROUNDING = 1e-9

Spans = tuple[int, int, int, int]
"""Of a match and of the secret in it: start, end, start, end."""


def entropy(value: bytes) -> float:
    """Shannon entropy in bits per byte."""
    size = len(value)
    counts = map(value.count, set(value))
    if 0 < size < len(_N_LOG_N):
        return log2(size) - sum(map(_N_LOG_N.__getitem__, counts)) / size
    return log2(size) - sum(n * log2(n) for n in counts) / size if size else 0.0


@lru_cache(maxsize=4096)
def least_entropy(size: int, different: int) -> float:
    """Of `size` bytes of which so many are different, at least: one of them stands in all places that are left. Mostly that is enough,
    and takes a third of the time."""
    most = size - different + 1
    return log2(size) - most * log2(most) / size - _ROUNDING if size else 0.0


def stands_alone(data: bytes, start: int, end: int, blob: bool = False) -> bool:
    """Is `data[start:end]` no part of a longer word? An escape (`\\n`, `%3D`) or an option (`-p`), whose last character is a letter, may
    stand before it."""
    if start:
        before = data[start - 1]
        if before in _WORD and not _LEADS.search(data[max(0, start - 6) : start]):
            return False
        if blob and before in _BLOB:
            return False
    if end < len(data):
        after = data[end]
        return after not in _WORD and not (blob and after in _BLOB)
    return True


class Verdict:
    """Calls itself with the data and the spans of a match of one rule: a secret or not."""

    def __init__(self, rule: Rule, *, native: bool) -> None:
        self._entropy = rule.entropy
        self._digits = rule.digits
        self._check: Callable[[bytes], bool] | None = CHECKS.get(rule.check)
        self._near = tuple(word.encode() for word in rule.near)
        self._alone = not rule.loose and rule.kind != "value"
        self._blob = rule.blob
        self._published = rule.published
        self._allow = [_Allowed(allow, native) for allow in _joined(rule.allow)]
        self.local = not rule.near and all(allow.target != "line" for allow in rule.allow)
        """Does it see no more than the match and what stands right beside it?"""

    def __call__(self, data: bytes, spans: Spans) -> bool:
        _, _, start, end = spans
        if self._alone and not stands_alone(data, start, end, self._blob):
            return False
        secret = data[start : min(end, start + _MAX_JUDGED_BYTES)]
        if self._digits and len(secret.translate(None, _NOT_DIGITS)) < self._digits:
            return False
        if self._entropy and least_entropy(len(secret), len(set(secret))) < self._entropy and entropy(secret) < self._entropy:
            return False
        if self._check and not self._check(secret):
            return False
        if self._near and not self._is_near(data, start):
            return False
        if self._published and sha256(secret).hexdigest() in self._published:
            return False
        return not any(allowed(data, spans, secret) for allowed in self._allow)

    def _is_near(self, data: bytes, start: int) -> bool:
        before = data[max(0, start - NEAR_BYTES) : start].lower()
        return any(word in before for word in self._near)


def _joined(lists: Sequence[AllowList]) -> Iterator[AllowList]:
    """The same, those that can be asked at once as one: a search costs more than what it looks for."""
    targets: tuple[Target, ...] = ("secret", "match", "line")
    for target in targets:
        alike = [allow for allow in lists if allow.target == target and not allow.every]
        patterns = [pattern for allow in alike for pattern in allow.patterns]
        words = [word for allow in alike for word in allow.stopwords]
        if target == "secret" and words:
            patterns.append("(?i:" + "|".join(map(_literal, words)) + ")")
            words = []
        if patterns or words:
            yield AllowList(tuple(patterns), tuple(words), target)
    yield from (allow for allow in lists if allow.every)


def _literal(word: str) -> str:
    return "".join(character if character.isalnum() or character > "\x7f" else f"\\x{ord(character):02x}" for character in word)


class _Allowed:
    def __init__(self, allow: AllowList, native: bool) -> None:
        joined = "|".join(f"(?:{pattern})" for pattern in allow.patterns)  # each was compiled when it was read
        self._holds = compile_test(joined, native=native) if joined else None
        self._stopwords = [word.encode() for word in allow.stopwords]
        self._target = allow.target
        self._every = allow.every

    def __call__(self, data: bytes, spans: Spans, secret: bytes) -> bool:
        stopped = self._stopwords and any(map(secret.lower().__contains__, self._stopwords))
        if not self._holds or (stopped and not self._every) or (self._every and self._stopwords and not stopped):
            return bool(stopped)
        return self._holds(self._targeted(data, spans, secret))

    def _targeted(self, data: bytes, spans: Spans, secret: bytes) -> bytes:
        start, end, _, _ = spans
        if self._target == "secret":
            return secret
        end = min(end, start + _MAX_LINE_BYTES)
        if self._target == "line":
            start = data.rfind(b"\n", max(0, start - _MAX_LINE_BYTES), start) + 1 or max(0, start - _MAX_LINE_BYTES)
            stop = data.find(b"\n", end, end + _MAX_LINE_BYTES)
            end = stop if stop >= 0 else end + _MAX_LINE_BYTES
        return data[start:end]
