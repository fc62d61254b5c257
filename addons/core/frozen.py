"""Values that nobody changes. Every call makes a dozen of them, and a frozen dataclass takes five times as long to be made as another:
so they are frozen where asserts are checked (tests, development), and in production (`python -O`) by the type checker alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen[Value](cls: type[Value]) -> type[Value]:
    """A dataclass with slots, equal and hashed by its fields, none of which is ever set again."""
    return dataclass(slots=True, frozen=__debug__, unsafe_hash=True)(cls)
