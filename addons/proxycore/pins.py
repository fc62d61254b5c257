"""What of mitmproxy is replaced by a quicker one of ours that does the same: only where mitmproxy's own is the very text that was read.

A replacement does by itself what the stock function does, so that an upgrade which changes that function must win over ours: each is
pinned by a digest of the stock one's source (mitmproxy 12.2). Where it differs, or can't be read, mitmproxy's own stays; a test says
which pins an upgrade breaks.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_OURS = "turnpike_stock"
"""The attribute of a replacement that holds what it stands for: with it a script that is loaded again finds the stock one."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """`owner.name` is to be `ours` where the source of the stock one has this digest (None: it is no function, or Python's own).

    Without `ours` it stays, but was read."""

    owner: Any
    name: str
    digest: str | None
    ours: Any = None

    @property
    def label(self) -> str:
        """For people."""
        return f"{getattr(self.owner, '__qualname__', None) or self.owner.__name__}.{self.name}"

    @property
    def stock(self) -> Any:
        """Mitmproxy's own, also where ours (or that of an earlier load of ours) is in its place; None where there is none."""
        now = inspect.getattr_static(self.owner, self.name, None)
        return getattr(_function(now), _OURS, now)

    def fits(self) -> bool:
        """Is the stock one what was read?"""
        stock = self.stock
        return stock is not None and (self.digest is None or source_digest(stock) == self.digest)


def source_digest(stock: Any) -> str:
    """Of a function's text, 16 hexadecimal digits; empty where it has none to be read."""
    try:
        return hashlib.sha256(inspect.getsource(_function(stock)).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        return ""


def replace_all(groups: Iterable[Sequence[Replacement]]) -> list[str]:
    """Put ours in place, those of one group together or not at all. Gives back what had to stay mitmproxy's."""
    left: list[str] = []
    for group in groups:
        if unfit := [one.label for one in group if not one.fits()]:
            left += unfit
            continue
        for one in group:
            if one.ours is not None:
                vars(_function(one.ours))[_OURS] = one.stock
                setattr(one.owner, one.name, one.ours)
    return left


def put_back(groups: Iterable[Sequence[Replacement]]) -> None:
    """Mitmproxy's own again."""
    for group in groups:
        for one in group:
            if one.ours is not None and (stock := one.stock) is not None:
                setattr(one.owner, one.name, stock)


def _function(found: Any) -> Any:
    """Beneath `property`, `staticmethod` and `classmethod`."""
    if isinstance(found, property):
        return found.fget
    return getattr(found, "__func__", found)
