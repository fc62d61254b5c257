"""What stands in a secret's place: `***` and, for values of at least 12 bytes, the last four.

The mask is safe in JSON, in headers and in URLs, and no rule takes it for a secret, so masking twice changes nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from addons.core.redaction.scanner import Finding

MASK = b"***"

_TAIL_LENGTH = 4
_MIN_LENGTH_FOR_TAIL = 12

_PLAIN_TAIL = re.compile(rb"[A-Za-z0-9_.+=-]{4}")
"""Only a tail of these is shown: no quote, backslash or percent sign that would be half of an escape."""

_SCHEME = re.compile(rb"(?:Bearer|Token|Bot|ApiKey|Key|OAuth|Negotiate|GenieKey|SSWS)\s+", re.IGNORECASE)
_HIDDEN_SCHEME = re.compile(rb"(?:Basic|Digest|AWS4-HMAC-SHA256)\s+", re.IGNORECASE)
"""Of these nothing is kept: the end of a Basic value is the end of a password."""


_HINT = re.compile(rb"\.\.\.[\x21-\x7e]{0,4}")
"""What is left of a pool's key in the flows that mitmproxy keeps."""


def mask(secret: bytes, keep_tail: bool = True) -> bytes:
    """`***abcd` or `***`."""
    if not keep_tail or len(secret) < _MIN_LENGTH_FOR_TAIL:
        return MASK
    tail = secret[-_TAIL_LENGTH - 6 :]
    if b"\\" in tail or b"%" in tail[4:] or not _PLAIN_TAIL.fullmatch(tail, 6):
        return MASK
    return MASK + tail[6:]


def mask_credential(value: bytes) -> bytes:
    """The mask of a whole header value; the scheme's word is kept (`Bearer ***abcd`)."""
    value = value.strip()
    if hidden := _HIDDEN_SCHEME.match(value):
        return hidden.group() + MASK
    scheme = _SCHEME.match(value)
    word = scheme.group() if scheme else b""
    secret = value[len(word) :]
    return value if not secret or secret.startswith(MASK) or _HINT.fullmatch(secret) else word + mask(secret)


def masked(data: bytes, findings: Iterable[Finding]) -> bytes:
    """`data` with every finding (in order, without overlap) masked."""
    pieces, done = [], 0
    for found in findings:
        pieces += [data[done : found.start], mask(data[found.start : found.end], found.keep_tail)]
        done = found.end
    return b"".join([*pieces, data[done:]])
