"""Rule files: those that come with the program, rule by rule, and those of users."""

from __future__ import annotations

import random
import tomllib
from itertools import islice
from pathlib import Path

import pytest

from addons.core.redaction.engines import compile_pattern
from addons.core.redaction.ruleset import Rule, RuleError
from addons.core.redaction.scanner import Scanner
from addons.rulefiles import RULE_SETS, builtin_scanner, make_scanner, read_rules, rule_file
from tests.core.redaction.made import planted

RULES = read_rules(RULE_SETS)
EVERYTHING = make_scanner("stored", tuple(RULE_SETS))
ENOUGH, TRIES = 6, 60
"""A random secret may have too little entropy, too few digits, or a stopword in it, and a random number a wrong check digit."""


def named(rule: Rule) -> str:
    return f"{rule.id}:{rule.pattern[:24]}"


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_finds_what_it_describes(rule: Rule) -> None:
    """Secrets of its shape are found by it alone, and those by all rules together."""
    rng, alone = random.Random(11), Scanner([rule])
    tries = (planted(rule, rng).encode() for _ in range(TRIES if not rule.check else 50 * TRIES))
    found = list(islice(((text, hits) for text in tries if (hits := alone.find(text))), ENOUGH))
    assert len(found) == ENOUGH
    for text, hits in found:
        if "stored" in rule.profiles:
            assert any(f.start <= hits[0].start and f.end >= hits[0].end for f in EVERYTHING.find(text))


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.kind != "value" and not (rule.loose or rule.lead or rule.context)], ids=named
)
def test_part_of_a_longer_word_is_no_token(rule: Rule) -> None:
    """With letters and digits right before and behind it is something else."""
    rng, alone = random.Random(12), Scanner([rule])
    for _ in range(20):
        text = planted(rule, rng).strip().removeprefix("see ")
        assert not alone.find(f"x3{text}x3".encode())


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.kind == "value"], ids=named)
def test_the_name_decides(rule: Rule) -> None:
    """The same value under another name is not this rule's; nor is a stand-in under the right one."""
    rng, alone = random.Random(13), Scanner([rule])
    for _ in range(20):
        name, _, value = planted(rule, rng).partition(" = ")
        assert not alone.find(f"colour = {value}".encode())
        assert not alone.find(f'{name} = "{"x" * len(value.strip())}"'.encode())
        assert not alone.find(f"{name} = ${{{name}}}".encode())


def test_patterns_are_common_to_both_engines() -> None:
    """Every expression of ours is one to google-re2 and to `re`."""
    allowed = {pattern for rule in RULES for allow in rule.allow for pattern in allow.patterns}
    for pattern in allowed | {rule.pattern for rule in RULES}:
        compile_pattern(pattern)
        compile_pattern(pattern, native=False)


def test_keywords_begin_anchored_rules() -> None:
    """An anchored rule's text begins with one of its keywords, or with the lead and then the keyword."""
    rng = random.Random(14)
    for rule in RULES:
        if rule.kind == "anchored":
            texts = [planted(rule, rng).lower().removeprefix("see ") for _ in range(40)]
            assert any(word in text for word in rule.keywords for text in texts), rule


def test_outgoing_is_narrower() -> None:
    """It has no rule that the other profile has not, but one of its own for what the other takes wider."""
    assert {rule.id for rule in RULES if "outgoing" in rule.profiles} <= {rule.id for rule in RULES if "stored" in rule.profiles}
    assert {"password-value", "high-entropy"} <= {rule.id for rule in RULES if rule.profiles == ("stored",)}


def test_builtin_scanner_is_the_stored_profile() -> None:
    """For callers that have none of their own."""
    assert builtin_scanner().find(b'db_password: "hunter22x!"')


def write(folder: Path, text: str) -> str:
    file = folder / "own.toml"
    file.write_text(text)
    return str(file)


def test_a_file_of_gitleaks_form_is_taken(tmp_path: Path) -> None:
    """With what it tells of files and commits passed over."""
    name = write(
        tmp_path,
        """
        title = "ours"
        [extend]
        useDefault = true
        [[rules]]
        id = "acme"
        description = "ACME"
        regex = '''(?i)\\b(acme_[a-z0-9]{8})(?:['"\\s;]|$)'''
        keywords = ["ACME_"]
        entropy = 2
        path = 'x'
        tags = ["a"]
        [[rules.allowlists]]
        description = "tests"
        paths = ['_test']
        stopwords = ["aaaa"]
        """,
    )
    scanner = make_scanner("outgoing", [name])
    text = b"key ACME_k3j2h1g0; acme_aaaa1234 "
    assert [(f.rule, text[f.start : f.end]) for f in scanner.find(text)] == [("acme", b"ACME_k3j2h1g0")]


def test_a_later_file_replaces_and_disables(tmp_path: Path) -> None:
    """A rule of the same id takes the earlier one's place; disabledRules takes rules away."""
    name = write(tmp_path, "[extend]\ndisabledRules = ['npm-token']\n[[rules]]\nid = 'jwt'\nregex = 'never'\n")
    rules = read_rules(["builtin", name])
    assert [rule.pattern for rule in rules if rule.id == "jwt"] == ["never"]
    assert not [rule for rule in rules if rule.id == "npm-token"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rules]]\nid = 'a'\nregex = 'b'\n\n[[rules]]\nid = 'bad'\nregex = '(?=x)y'\n", ":5: rule bad: the regex cannot be used: "),
        ("[[rules]]\nregex = 'b'\n", ":1: rule 1 has no id"),
        ("[[rules", ": cannot be read: "),
    ],
)
def test_a_bad_rule_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """The file, the line, the rule, the reason, in one line."""
    name = write(tmp_path, text)
    with pytest.raises(RuleError) as caught:
        read_rules([name])
    assert str(caught.value).startswith(name + said)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is named."""
    with pytest.raises(RuleError, match=r"none\.toml: cannot be read: No such file"):
        read_rules([str(tmp_path / "none.toml")])


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """What is known of a file holds as long as it stays as it is."""
    name = write(tmp_path, "[[rules]]\nid = 'a'\nregex = 'b'\n")
    assert [rule.id for rule in read_rules([name])] == ["a"]
    write(tmp_path, "[[rules]]\nid = 'longer'\nregex = 'b'\n")
    assert [rule.id for rule in read_rules([name])] == ["longer"]


def test_names_mean_files() -> None:
    """The ready-made ones by a word, all others by their path from the project's root."""
    assert rule_file("builtin") == RULE_SETS["builtin"]
    assert rule_file("config/x.toml") == RULE_SETS["builtin"].parent.parent / "x.toml"
    assert all(tomllib.loads(path.read_text("utf-8")) for path in RULE_SETS.values())
