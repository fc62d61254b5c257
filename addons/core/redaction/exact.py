"""Exact secrets (the configured keys' own values, the user's strings), in every form in which a body may hold them.

A value inside JSON may be escaped in several ways that all mean the same (RFC 8259 §7), and twice where a tool call's
arguments are JSON in a string; in a URL it may be percent-encoded. Base64 and compressed forms are not looked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from addons.core.redaction.engines import NATIVE, Keywords
from addons.core.redaction.findings import Finding

MIN_EXACT_LENGTH = 8
"""Shorter strings would be found in harmless text everywhere."""

_MIN_CUT_LENGTH = 6
"""At the end of a body that was cut, this much of a secret's beginning is taken for the secret."""

_MANY = 16
"""Up to so many forms, one `bytes.find` each is faster than making an automaton of them."""

_HTML_SAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027", "+": "\\u002b", "=": "\\u003d"}
"""Characters that some writers escape in JSON so that it may stand in HTML (Go's encoding/json: the first three)."""


class ExactStrings:
    """Finds the given values; those under `MIN_EXACT_LENGTH` characters are left out."""

    def __init__(self, values: Iterable[str], *, native: bool = NATIVE) -> None:
        usable = {value for value in values if len(value) >= MIN_EXACT_LENGTH}
        self._forms = sorted({form for value in usable for form in _forms(value)}, key=len, reverse=True)
        self._words = sorted({form.lower() for form in self._forms})
        self._keywords = Keywords(self._words, native=native) if len(self._forms) > _MANY else None
        self._known = frozenset(self._forms)

    def __repr__(self) -> str:
        return f"ExactStrings(<{len(self._forms)} forms>)"

    def __bool__(self) -> bool:
        """Is there anything to be found?"""
        return bool(self._forms)

    def find(self, data: bytes, cut: bool = False) -> Iterator[Finding]:
        """Where the values stand in `data`; with `cut` also a value's beginning at the very end."""
        if self._keywords:
            for begin, hits in self._keywords.chunks(data):
                for _, start, end in hits:
                    if data[begin + start : begin + end] in self._known:
                        yield Finding(begin + start, begin + end, "exact")
        else:
            yield from self._each(data)
        if cut:
            yield from self._at_end(data)

    def _each(self, data: bytes) -> Iterator[Finding]:
        for form in self._forms:
            at = data.find(form)
            while at >= 0:
                yield Finding(at, at + len(form), "exact")
                at = data.find(form, at + len(form))

    def _at_end(self, data: bytes) -> Iterator[Finding]:
        for form in self._forms:
            for length in range(min(len(form) - 1, len(data)), _MIN_CUT_LENGTH - 1, -1):
                if data.endswith(form[:length]):
                    yield Finding(len(data) - length, len(data), "exact", keep_tail=False)
                    break


def _forms(value: str) -> set[bytes]:
    texts = {value, *_json_forms(value)}
    texts |= {again for text in tuple(texts) for again in _json_forms(text)}
    raw = value.encode("utf-8", "surrogatepass")
    percent = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    texts |= percent | {_lower_percents(text) for text in percent}
    return {text.encode("utf-8", "surrogatepass") for text in texts}


def _json_forms(value: str) -> set[str]:
    plain = {json.dumps(value, ensure_ascii=True)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    plain |= {re.sub(r"\\u[0-9a-f]{4}", lambda m: "\\u" + m.group()[2:].upper(), text) for text in plain}
    slashed = {text.replace("/", "\\/") for text in plain}
    safe = {_html_safe(text, "<>&") for text in plain | slashed} | {_html_safe(text, "<>&'+=") for text in plain | slashed}
    return plain | slashed | safe | {re.sub(r"\\u00[0-9a-f]{2}", lambda m: "\\u" + m.group()[2:].upper(), text) for text in safe}


def _html_safe(text: str, characters: str) -> str:
    return text.translate({ord(c): _HTML_SAFE[c] for c in characters})


def _lower_percents(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda m: m.group().lower(), text)
