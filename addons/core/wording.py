"""Words around numbers."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 call`, `2,000 calls`; 0 is of many."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
