"""The kinds of value."""

from __future__ import annotations

import pytest
from pydantic_core import PydanticCustomError

from addons.config_types import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (5, 5),
        ("5", 5),
        ("100 kB", 100_000),
        ("64 MiB", 64 * 2**20),
        ("10GiB", 10 * 2**30),
        ("1.5 kib", 1536),
        ("2 GB", 2 * 10**9),
        ("7 B", 7),
    ],
)
def test_sizes_are_bytes(text: object, size: int) -> None:
    """Decimal and binary units, with or without a blank, in any case."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", -1, 0, True, "1 XB", "1e3", None, "1 MiB more"])
def test_what_is_no_size_is_refused(text: object) -> None:
    """Nothing is guessed, and no size is nothing at all."""
    with pytest.raises(PydanticCustomError, match="write bytes"):
        parse_size(text)
