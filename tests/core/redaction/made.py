"""Secrets made at run time: random texts that a pattern matches."""

from __future__ import annotations

import random
import re
import string
from functools import cache
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from addons.core.redaction.gopatterns import translate
from addons.core.redaction.ruleset import Rule

ANY = string.ascii_letters + string.digits
EXTRA = 40
"""How much longer than it must a repetition gets at most."""


def matching(pattern: str, rng: random.Random) -> str:
    """A random text that the pattern (RE2's syntax) matches."""
    return "".join(_made(_parsed(pattern), rng))


@cache
def _parsed(pattern: str) -> Any:
    return _parser.parse(translate(pattern))


def _made(nodes: Any, rng: random.Random) -> list[str]:
    return [_node(code, value, rng) for code, value in nodes]


def _node(code: Any, value: Any, rng: random.Random) -> str:
    if code is codes.LITERAL:
        return chr(value)
    if code is codes.IN:
        return rng.choice(_members("[" + "".join(map(_written, value)) + "]"))
    if code is codes.ANY:
        return rng.choice(ANY)
    if code is codes.BRANCH:
        return "".join(_made(rng.choice(value[1]), rng))
    if code is codes.SUBPATTERN:
        return "".join(_made(value[3], rng))
    if code in {codes.MAX_REPEAT, codes.MIN_REPEAT}:
        least, most, inner = value
        return "".join("".join(_made(inner, rng)) for _ in range(rng.randint(least, min(int(most), least + EXTRA))))
    if code is codes.NOT_LITERAL:
        return rng.choice(ANY)
    return ""  # a place, not a character


@cache
def _members(text: str) -> list[str]:
    """What a class may be: of a negated one letters and digits only."""
    return [chr(number) for number in range(33, 127) if re.fullmatch(text, chr(number))] or [" "]


def _written(entry: Any) -> str:
    code, value = entry
    if code is codes.NEGATE:
        return "^" + re.escape("".join(c for c in string.printable if c not in ANY))
    if code is codes.RANGE:
        return f"\\x{value[0]:02x}-\\x{value[1]:02x}"
    if code is codes.CATEGORY:
        return {codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_WORD: r"\w", codes.CATEGORY_SPACE: r"\s"}[value]
    return f"\\x{value:02x}"


def planted(rule: Rule, rng: random.Random) -> str:
    """A text that holds what the rule is to find, and stands alone in it."""
    secret = matching(rule.pattern, rng)
    near = f"{rng.choice(rule.near)} " if rule.near else ""
    if rule.kind != "value":
        return f"{near}see {secret} \n" if rule.pattern[:1] != " " else f"{near}{secret} \n"
    name = rng.choice(rule.keywords)
    name = name if rule.bare else f"{name}_token"
    return f'{near}{name} = "{secret}"\n'
