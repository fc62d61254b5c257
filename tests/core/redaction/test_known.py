"""Exact values beside a scanner's findings."""

from __future__ import annotations

from addons.core.redaction.known import Known
from tests.core.redaction.planted import Values, token

A, B, C = (token(20, seed) for seed in range(3))


def test_both_are_found() -> None:
    """Under their own rules, in order; `knowing` adds values and leaves the other as it was."""
    known = Known([A], Values([C]))
    more = known.knowing([B])
    text = f"{C} {B} {A}".encode()
    assert [found.rule for found in known.find(text)] == ["planted", "exact"]
    assert [found.rule for found in more.find(text)] == ["planted", "exact", "exact"]
    assert [found.rule for found in more.find_exact(text)] == ["exact", "exact"]
    assert len(more.find_shapes(text)) == 2


def test_overlaps_are_joined() -> None:
    """No character is left over."""
    [found] = Known([A + "xyz12345"], Values([B + A])).find(f"{B}{A}xyz12345".encode())
    assert (found.start, found.end) == (0, 48)


def test_a_beginning_at_the_end() -> None:
    """Of a text that was cut."""
    assert len(Known([A], Values([])).find(A[:10].encode(), cut=True)) == 1
    assert not Known([A], Values([])).find(A[:10].encode())


def test_without_a_scanner_the_rules_that_come_with_the_program_hold() -> None:
    """As the stored profile has them."""
    text = ("see ghp_" + token(36, 5)).encode()
    assert Known([]).find(text) and Known([]).find_shapes(text)
