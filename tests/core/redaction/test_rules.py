"""The tables of rules are well formed, so that the scanner can rely on them."""

from __future__ import annotations

import re

import pytest

from addons.core.redaction.rules import CONTEXT_RULES, TOKEN_RULES, ContextRule, TokenRule

RUN_CHARACTERS = re.compile(r"[A-Za-z0-9_./+=~:-]+")


@pytest.mark.parametrize("rule", TOKEN_RULES, ids=lambda rule: f"{rule.name}:{rule.prefix}")
def test_token_rule_is_found_in_runs(rule: TokenRule) -> None:
    """A prefix holds only characters of a run (else the scanner never sees it), and a lead says how far it reaches."""
    assert RUN_CHARACTERS.fullmatch(rule.prefix)
    assert bool(rule.lead) == bool(rule.before)
    re.compile(rule.lead + re.escape(rule.prefix) + rule.rest)


@pytest.mark.parametrize("rule", CONTEXT_RULES, ids=lambda rule: rule.name)
def test_context_rule_names_its_secret(rule: ContextRule) -> None:
    """Keywords are lower case (they are looked for in lower-cased data), and the pattern has the group `secret`."""
    assert all(word == word.lower() for word in rule.keywords)
    assert "secret" in re.compile(rule.pattern).groupindex


@pytest.mark.parametrize("rule", [*TOKEN_RULES, *CONTEXT_RULES], ids=lambda rule: rule.name)
def test_no_unbounded_repetition(rule: TokenRule | ContextRule) -> None:
    """Only a possessive repetition may be without bound: every other one could make the scan quadratic."""
    pattern = rule.rest if isinstance(rule, TokenRule) else rule.pattern
    unescaped = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "x", pattern)
    assert not re.search(r"[x)](?:\*|\+)(?!\+)|\{\d+,\}(?!\+)", unescaped.replace("*+", "").replace("}+", "}"))
