"""A scanner together with values that are secrets in themselves: configured keys, the user's strings, a client's own credential."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Protocol

from addons.core.redaction.exact import ExactStrings
from addons.core.redaction.findings import Finding, merge
from addons.core.redaction.scanner import scan, scan_shapes


class TextScanner(Protocol):
    """What finds by rules, as `Scanner` does. `looks_at_edges`: may it find less where something stands before or behind a text?"""

    @property
    def looks_at_edges(self) -> bool: ...

    def find(self, data: bytes, cut: bool = False) -> Sequence[Finding]: ...

    def find_shapes(self, data: bytes) -> Sequence[Finding]: ...


class _Builtin:
    looks_at_edges = False

    def find(self, data: bytes, cut: bool = False) -> Sequence[Finding]:
        return scan(data, cut)

    def find_shapes(self, data: bytes) -> Sequence[Finding]:
        return scan_shapes(data)


class NoRules:
    """Finds nothing: where only exact values are looked for."""

    looks_at_edges = False

    def find(self, data: bytes, cut: bool = False) -> Sequence[Finding]:
        return ()

    def find_shapes(self, data: bytes) -> Sequence[Finding]:
        return ()


class Known:
    """Finds what `scanner` finds (None: the rules that come with the program), and the exact values."""

    def __init__(self, exact: Iterable[str], scanner: TextScanner | None = None) -> None:
        self._scanner = scanner or _Builtin()
        self._exact: tuple[ExactStrings, ...] = tuple(filter(None, (ExactStrings(exact),)))

    @property
    def looks_at_edges(self) -> bool:
        """Must a text be looked at by itself, since a rule tells where it begins or ends?"""
        return self._scanner.looks_at_edges

    def knowing(self, exact: Iterable[str]) -> Known:
        """The same with further exact values."""
        knowing = copy(self)
        knowing._exact = tuple(filter(None, (*self._exact, ExactStrings(exact))))
        return knowing

    def find(self, data: bytes, cut: bool = False) -> list[Finding]:
        """All secrets; with `cut` also what only begins like one at the end."""
        found = self._scanner.find(data, cut)
        exact = self.find_exact(data, cut) if self._exact else []
        return merge([*exact, *found]) if exact or found else []

    def find_shapes(self, data: bytes) -> list[Finding]:
        """Exact values, and what is a secret by its own shape."""
        return merge([*self.find_exact(data), *self._scanner.find_shapes(data)])

    def find_exact(self, data: bytes, cut: bool = False) -> list[Finding]:
        """The exact values alone."""
        return [found for strings in self._exact for found in strings.find(data, cut)]
