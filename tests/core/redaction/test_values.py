"""Values are judged by the rules that their names call."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core.redaction.ruleset import Rule
from addons.core.redaction.scanner import Scanner

HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


def found(text: str, *rules: Rule) -> list[tuple[str, str]]:
    data = text.encode()
    return [(f.rule, data[f.start : f.end].decode()) for f in Scanner(rules).find(data)]


def rule(name: str = "acme", pattern: str = "[0-9a-f]{32}", **fields: Any) -> Rule:
    return Rule(name, pattern, "value", **{"keywords": (name,), **fields})


@pytest.mark.parametrize("name", ["acme_token", "ACME_API_KEY", "myAcmeSecret", "x-acme-client-id", "acme key", "acme.auth", "token_acme"])
def test_a_name_with_the_service_and_a_credential(name: str) -> None:
    """Calls the service's rule."""
    assert found(f"{name}: {HEX}", rule()) == [("acme", HEX)]


@pytest.mark.parametrize("name", ["acme", "acme_hash", "token", "blacmed_token"])
def test_other_names(name: str) -> None:
    """Do not: one of the two words is missing, or is part of another."""
    assert found(f"{name}: {HEX}", rule()) == []


def test_a_bare_rule_needs_its_word_only() -> None:
    """As the name of a password does."""
    assert found(f"xacmex = {HEX}", rule(bare=True)) == [("acme", HEX)]


def test_the_whole_value_must_fit() -> None:
    """A part of a longer one is another thing."""
    assert found(f"acme_token: {HEX}f", rule()) == []
    assert found(f"acme_token: {HEX}-1", rule()) == []


def test_quotes_and_assignments_may_be_wanted() -> None:
    """Where a rule says so."""
    assert found(f"acme_key = {HEX}", rule(quoted=True)) == []
    assert found(f"acme_key = '{HEX}'", rule(quoted=True)) == [("acme", HEX)]
    assert found(f"['acme_key', '{HEX}']", rule(assigned=True)) == []
    assert found(f"acme_key = {HEX}(1)", rule(bare=True)) == []


def test_a_value_with_an_equals_sign_inside() -> None:
    """Is tried without what follows it, and with it; found, it is masked whole."""
    wide = rule(pattern="[a-z=]{9}")
    assert found("acme_key=abcd=efgh x", wide) == [("acme", "abcd=efgh")]
    assert found("acme_key=abcdefghi=jkl x", rule(pattern="[a-z]{9}=?")) == [("acme", "abcdefghi=jkl")]


def test_the_first_rule_names_it() -> None:
    """In the order of the files, whichever word stands first."""
    one, other = rule("one"), rule("other")
    assert found(f"other_one_key: {HEX}", one, other) == [("one", HEX)]


def test_the_same_again_is_judged_alike() -> None:
    """Whether it was seen before or not, and whatever stands around it."""
    line = f"2026-01-01 12:00:00 some words that are always the same acme_token={HEX} and more of them, until the line ends here\n"
    assert found(line * 9, rule()) == [("acme", HEX)] * 9
    other = line.replace(HEX, "z" + HEX[1:])
    assert found((line + other) * 9, rule()) == [("acme", HEX)] * 9
