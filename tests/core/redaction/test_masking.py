"""A mask shows at most four characters, and never half of an escape."""

from __future__ import annotations

import pytest

from addons.core.redaction.masking import mask, mask_credential, masked
from addons.core.redaction.scanner import Finding


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        (b"0123456789ab", b"***89ab"),
        (b"0123456789a", b"***"),
        (b"0123456789\\nab", b"***"),
        (b'0123456789\\"abc', b"***"),
        (b"0123456789%3Dab", b"***"),
        (b"0123456789 ab\n", b"***"),
        (b"0123456789\\u0026", b"***"),
    ],
)
def test_mask_keeps_four_plain_characters(secret: bytes, shown: bytes) -> None:
    """The last four of at least twelve, and only where they are plain."""
    assert mask(secret) == shown


def test_mask_without_tail() -> None:
    """Where a rule says so nothing is shown."""
    assert mask(b"0123456789abcdef", keep_tail=False) == b"***"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"Bearer 0123456789abcdef", b"Bearer ***cdef"),
        (b"Basic 0123456789abcdef", b"Basic ***"),
        (b"AWS4-HMAC-SHA256 Credential=abc, Signature=0123456789", b"AWS4-HMAC-SHA256 ***"),
        (b"0123456789abcdef", b"***cdef"),
        (b"turnpike", b"***"),
        (b"Bearer ***cdef", b"Bearer ***cdef"),
        (b"", b""),
    ],
)
def test_scheme_word_is_kept(value: bytes, shown: bytes) -> None:
    """A header's value is masked whole but for the scheme, and masking twice changes nothing."""
    assert mask_credential(value) == shown
    assert mask_credential(shown) == shown


def test_masked_replaces_only_findings() -> None:
    """What stands between the findings stays as it is."""
    assert masked(b"a SECRET b SECRET c", [Finding(2, 8, "x"), Finding(11, 17, "x")]) == b"a *** b *** c"
