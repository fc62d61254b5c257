"""Numbers that prove themselves: payment cards (Luhn), bank accounts (IBAN), IP addresses that mean somebody."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

MIN_CARD_DIGITS = 13
MAX_CARD_DIGITS = 19
MIN_KINDS_OF_DIGITS = 4
"""Of a card's number: `4444 4444 4444 4448` passes Luhn's test too."""


def luhn(value: bytes) -> bool:
    """Is this the number of a card (ISO/IEC 7812-1), spaces and dashes aside?"""
    digits = [byte - 48 for byte in value if 48 <= byte <= 57]
    if not MIN_CARD_DIGITS <= len(digits) <= MAX_CARD_DIGITS or len(set(digits)) < MIN_KINDS_OF_DIGITS:
        return False
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(value: bytes) -> bool:
    """Is this an account's number (ISO 13616), whose check digits are right (ISO 7064, MOD 97-10)?"""
    compact = value.replace(b" ", b"").upper()
    if not 15 <= len(compact) <= 34 or not compact.isalnum():
        return False
    return int("".join(str(int(chr(byte), 36)) for byte in compact[4:] + compact[:4])) % 97 == 1


def public_ip(value: bytes) -> bool:
    """Is this an address on the Internet? Private, local and documentation's ones tell of nobody."""
    try:
        address = ipaddress.ip_address(value.decode("ascii"))
    except ValueError:  # a version number, or no address at all
        return False
    return address.is_global and not address.is_multicast


CHECKS: dict[str, Callable[[bytes], bool]] = {"luhn": luhn, "iban": iban, "ip": public_ip}
"""What a rule may name as its `check`."""
