"""Whose credential goes upstream: pure rules of DESIGN §3 (`inject`) and §4."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

Inject = Literal["always", "placeholder", "never"]


def wants_pool_key(inject: Inject, inject_for: Collection[str], own: str, allowed: bool) -> bool:
    """Does a pool key replace the client's own credential (`own`, "" if it sent none)? `allowed` is the Gate's word."""
    if not allowed or inject == "never":
        return False
    return inject == "always" or own == "" or own in inject_for


def keeps_own(named: str | None, target: str) -> bool:
    """May the client's own credential go to `target`? Only to the upstream that the client itself named."""
    return named == target
