"""Rules that look at where a text begins or ends."""

from __future__ import annotations

import pytest

from addons.core.redaction.edges import looks_at_edges
from addons.core.redaction.known import Known
from addons.core.redaction.ruleset import AllowList, Rule
from addons.core.redaction.scanner import Scanner
from addons.rulefiles import builtin_scanner, read_rules


@pytest.mark.parametrize(
    "pattern",
    [r"^a", r"(?m)^a$", r"\Aa", r"a\z", r"(?:^|\s)a", r"a(?:\s|$)", r"(a|(b|c$))", r"(?:x^)*a", r"(?:[^\"]|$)", r"\p{L}a", r"(?:\b|^)a"],
)
def test_an_edge_is_seen(pattern: str) -> None:
    """Wherever it stands, and also where the pattern cannot be read."""
    assert looks_at_edges(Rule("r", pattern))


@pytest.mark.parametrize(
    "pattern", [r"a", r"[^$]\^\$", r"\ba\B", r"a(?:['\"\s;]|$)", r"(?:$|[^\w.-])", r"(?i)(?:^|[^0-9a-z])a(?:[\x60'\"\s;]|\\[nr]|$)"]
)
def test_a_quote_does_for_an_edge(pattern: str) -> None:
    """As in most rules of gitleaks."""
    assert not looks_at_edges(Rule("r", pattern))


def test_a_rule_looks_with_its_allow_lists_too() -> None:
    """Those of lines; what a value is taken from is not looked at."""
    assert looks_at_edges(Rule("r", "a", allow=(AllowList(("x",), target="line"),)))
    assert not looks_at_edges(Rule("r", "a", allow=(AllowList(("x",)),)))
    assert not looks_at_edges(Rule("r", "^a$", kind="value"))


def test_no_rule_of_ours_does() -> None:
    """So that all that is stored may be looked through at once; one of a user's is enough to end that."""
    assert not any(map(looks_at_edges, read_rules(["builtin", "personal"])))
    assert Known(()).looks_at_edges is builtin_scanner().looks_at_edges is False
    assert Known((), Scanner([Rule("r", "ab", keywords=("ab",)), Rule("s", "^ab", keywords=("ab",))])).knowing(["x"]).looks_at_edges
