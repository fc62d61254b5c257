"""Documents become rules, and what is wrong with one is said in one line."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core.redaction.engines import NATIVE
from addons.core.redaction.ruleset import AllowList, RuleError, disabled_rules, parse_rules


def document(**fields: Any) -> dict[str, Any]:
    return {"rules": [{"id": "r", "regex": "a(b)", **fields}]}


def test_fields_of_gitleaks() -> None:
    """Are read; those about files and reports are passed over."""
    (rule,) = parse_rules(document(keywords=["ABC"], entropy=3, secretGroup=1, path="x", tags=["t"], description="d"), "f")
    assert (rule.id, rule.pattern, rule.kind, rule.keywords, rule.entropy, rule.group) == ("r", "a(b)", "search", ("abc",), 3.0, 1)
    assert rule.loose and rule.profiles == ("stored", "outgoing")


def test_own_fields() -> None:
    """Say how a rule is matched; what they say nothing of is strict."""
    (anchored,) = parse_rules(document(anchored=True, keywords=["a"], lead="[x]", keepTail=False, profiles=["stored"]), "f")
    assert (anchored.kind, anchored.lead, anchored.keep_tail, anchored.profiles, anchored.loose) == (
        "anchored",
        "[x]",
        False,
        ("stored",),
        False,
    )
    (value,) = parse_rules({"rules": [{"id": "v", "value": "x+", "keywords": ["k"]}]}, "f")
    assert value.kind == "value" and value.entropy > 0


def test_allow_lists() -> None:
    """Of the rule in both spellings, and of the file."""
    fields = {
        "allowlist": {"stopwords": ["Abc"]},
        "allowlists": [{"regexes": ["x"], "regexTarget": "line", "condition": "AND"}, {"paths": ["p"]}],
    }
    (rule,) = parse_rules({**document(**fields), "allowlist": {"regexes": ["y"]}}, "f")
    assert rule.allow == (AllowList(("x",), (), "line", True), AllowList((), ("abc",)), AllowList(("y",)))


def test_an_allow_list_of_some_files_is_left_out() -> None:
    """Where it wants a path as well, it never holds here."""
    (rule,) = parse_rules(document(allowlists=[{"regexes": ["x"], "paths": ["p"], "condition": "AND"}]), "f")
    assert rule.allow == ()


def test_a_rule_about_paths_only_is_left_out() -> None:
    """There are no files here."""
    assert parse_rules({"rules": [{"id": "pkcs12", "path": "p12$"}]}, "f") == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": ""}, "f:7: rule 1 has no id"),
        ({"regex": None, "regx": "x"}, "f:7: rule r: regx is no field of a rule; did you mean regex?"),
        ({"foo": "x"}, "f:7: rule r: foo is no field of a rule"),
        ({"regex": ""}, "f:7: rule r has no regex"),
        ({"regex": "("}, "f:7: rule r: the regex cannot be used: "),
        ({"regex": "(?<=a)b"}, "f:7: rule r: the regex cannot be used: "),
        ({"regex": 5}, "f:7: rule r: regex is not a text"),
        ({"keywords": "abc"}, "f:7: rule r: keywords is not a list of texts"),
        ({"keywords": [""]}, "f:7: rule r: keywords is not a list of texts"),
        ({"entropy": "high"}, "f:7: rule r: entropy is not a number"),
        ({"entropy": True}, "f:7: rule r: entropy is not a number"),
        ({"secretGroup": 2}, "f:7: rule r: secretGroup is 2, but the regex has 1 groups"),
        ({"value": "x"}, "f:7: rule r has both regex and value; write one of them"),
        ({"anchored": True}, "f:7: rule r: it needs keywords"),
        ({"lead": "[a]", "keywords": ["a"]}, "f:7: rule r: lead is for anchored rules"),
        ({"check": "mod7"}, "f:7: rule r: check is 'mod7'; write one of luhn, iban, ip"),
        ({"published": ["AIza"]}, "f:7: rule r: published holds something that is no SHA-256 digest"),
        ({"profiles": ["all"]}, "f:7: rule r: profiles is ['all']; write some of stored, outgoing"),
        ({"allowlists": ["x"]}, "f:7: rule r: an allow-list is no table"),
        ({"allowlists": [{"regexes": ["("]}]}, "f:7: rule r: a regex of an allow-list cannot be used: "),
        ({"allowlists": [{"stopwords": "x"}]}, "f:7: rule r: stopwords of an allow-list is not a list of texts"),
        ({"allowlists": [{"regexes": ["x"], "regexTarget": "file"}]}, "f:7: rule r: regexTarget is 'file'; write secret, match or line"),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, Any], said: str) -> None:
    """With the file, the line, the rule, and what would be right."""
    with pytest.raises(RuleError) as caught:
        parse_rules(document(**fields), "f", [7])
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "said"),
    [({}, r"f: holds no \[\[rules\]\]"), ({"rules": 5}, "f: `rules` is no list"), ({"rules": [5]}, "f:7: rule 1 is no table")],
)
def test_a_document_of_another_form(bad: dict[str, Any], said: str) -> None:
    """Is refused as well."""
    with pytest.raises(RuleError, match=said):
        parse_rules(bad, "f", [7])


def test_without_google_re2_a_pattern_may_be_refused() -> None:
    """And is named then; with it, it may be taken."""
    with pytest.raises(RuleError, match=r"rule r: the regex cannot be used: .*is not known"):
        parse_rules(document(regex=r"\pL+"), "f", native=False)
    if NATIVE:
        assert parse_rules(document(regex=r"\pL+"), "f")


def test_disabled_rules() -> None:
    """Are those that `extend` names."""
    assert disabled_rules({"extend": {"disabledRules": ["a", "b", 5]}}) == {"a", "b"}
    assert (
        disabled_rules({"extend": {"useDefault": True}}) == disabled_rules({}) == disabled_rules({"extend": {"disabledRules": 1}}) == set()
    )
