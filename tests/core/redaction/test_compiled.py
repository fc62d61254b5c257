"""A rule made ready knows its secret, its lead and how far it looks."""

from __future__ import annotations

import pytest

from addons.core.redaction.compiled import Compiled
from addons.core.redaction.ruleset import Rule


def made(pattern: str, **fields: object) -> Compiled:
    return Compiled(Rule("r", pattern, **fields), 0, False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "group", "secret"),
    [("ab+c", None, b"abbc"), ("a(b+)c", None, b"bb"), ("(x)?a(b+)c", None, b"bb"), ("(a)(b+)c", 2, b"bb"), ("a(b+)c", 1, b"bb")],
)
def test_the_secret_in_a_match(pattern: str, group: int | None, secret: bytes) -> None:
    """Is the group that the rule names, else the first that matched, else all."""
    rule = made(pattern, group=group)
    data = b"--abbc--"
    spans = rule.spans(rule.pattern.search(data[1:]), 1)
    assert data[spans[2] : spans[3]] == secret
    assert data[spans[0] : spans[1]] == b"abbc"


def test_a_lead_is_a_run() -> None:
    """Of its characters only, without the letters of an escape before it, and of bounded length."""
    rule = made(r"[0-9a-f]{4}-us", kind="anchored", lead="[0-9a-f]", keywords=("-us",))
    for text, start in ((b"x 12ab-us", 2), (b"\\n12ab-us", 2), (b"%3D12ab-us", 3), (b"\\u003d12ab-us", 6), (b"-us", 0)):
        assert rule.lead_start(text, text.index(b"-us")) == start, text
    assert rule.lead_start(b"a" * 10_000 + b"-us", 10_000) == -1
    assert rule.lead_start(b" " + b"a" * 1000 + b"-us", 1001) == 1


def test_a_search_looks_around_its_places() -> None:
    """And finds all that is there, once."""
    rule = made("k[0-9]{3}", keywords=("k",), loose=True)
    data = b"k123 " * 5000
    places = [(at - rule.reach, at + 1 + rule.reach) for at in range(0, len(data), 5)]
    assert sorted({spans[0] for spans in rule.search(data, places)}) == list(range(0, len(data), 5))
