"""Values that nobody changes: as frozen dataclasses are, with and without asserts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from addons.core.frozen import frozen


@frozen
class Sample:
    """Of each kind of field one."""

    name: str
    count: int = 0
    more: tuple[int, ...] = field(default=(), repr=False)


def check_sample() -> None:
    """What holds either way; raises where it does not."""
    one, same, other = Sample("a", 1, more=(2,)), Sample("a", 1, (2,)), Sample("a")
    cls: Any = Sample
    change: Any = replace
    told = [is_dataclass(cls), [each.name for each in fields(cls)] == ["name", "count", "more"], not hasattr(one, "__dict__")]
    told += [one == same != other, len({one, same, other}) == 2, repr(one) == "Sample(name='a', count=1)"]
    told += [change(one, count=5) == Sample("a", 5, (2,)) != one]
    if not all(told):
        raise ValueError(told)


def test_it_is_a_frozen_dataclass() -> None:
    """With slots, equal and hashed by its fields."""
    check_sample()
    made: Any = Sample("a")
    with pytest.raises(FrozenInstanceError):
        made.name = "b"


def test_without_asserts_only_that_is_not_checked() -> None:
    """As production runs."""
    code = "from tests.core.test_frozen import Sample, check_sample; check_sample(); Sample('a').name = 'b'"
    subprocess.run([sys.executable, "-O", "-c", code], check=True, cwd=Path(__file__).parents[2])
