"""Checksums tell numbers that mean somebody from others."""

from __future__ import annotations

import pytest

from addons.core.redaction.checksums import iban, luhn, public_ip


@pytest.mark.parametrize(
    ("value", "right"),
    [
        (b"4539 1488 0343 6467", True),
        (b"4539-1488-0343-6467", True),
        (b"378282246310005", True),
        (b"4539 1488 0343 6468", False),  # another check digit
        (b"4444 4444 4444 4448", False),  # right, but nobody's
        (b"18", False),
        (b"45391488034364670000000000", False),
    ],
)
def test_luhn(value: bytes, right: bool) -> None:
    """Cards have 13 to 19 digits, of several kinds, and the right last one."""
    assert luhn(value) is right


@pytest.mark.parametrize(
    ("value", "right"),
    [
        (b"DE89 3704 0044 0532 0130 00", True),
        (b"GB82WEST12345698765432", True),
        (b"de89370400440532013000", True),
        (b"DE88370400440532013000", False),
        (b"DE893704", False),
        (b"DE89-3704-0044-0532-0130-00", False),
    ],
)
def test_iban(value: bytes, right: bool) -> None:
    """The remainder by 97 is one."""
    assert iban(value) is right


@pytest.mark.parametrize(
    ("value", "right"),
    [
        (b"93.184.215.14", True),
        (b"2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        (b"192.168.1.1", False),
        (b"127.0.0.1", False),
        (b"203.0.113.9", False),  # for documentation (RFC 5737)
        (b"2001:db8::1", False),
        (b"224.0.1.1", False),
        (b"999.1.2.3", False),
        (b"1.2.3.4\xff", False),
    ],
)
def test_public_ip(value: bytes, right: bool) -> None:
    """An address on the Internet, and no version number."""
    assert public_ip(value) is right
