r"""What a rule is, and how one is read from a document in the format of gitleaks' rule files (TOML, parsed).

Fields of gitleaks that are read: `id description regex keywords secretGroup entropy`, `[[rules.allowlists]]` (and the older
`[rules.allowlist]`) with `regexes stopwords regexTarget condition`, and the same lists at the top, which then hold for all rules of the
file. Fields that tell of files, commits and reports (`path`, `paths`, `commits`, `tags`, …) mean nothing here and are passed over.

Fields of our own, all of them optional:

    value       instead of `regex`: what stands as the value in NAME = value (code, shell, YAML, JSON, XML), where NAME holds one of the
                keywords and, unless `bare = true`, a word that tells of a credential (`key`, `token`, …). It must match the whole value.
    anchored    the regex begins with a keyword, and is matched there and nowhere else
    lead        with `anchored`: a class of characters; the regex begins where the run of these before the keyword does
    quoted      with `value`: only where quotes stand around it
    assigned    with `value`: not where only a comma or a bracket stands between, as in a list or a call
    loose       the secret may be part of a longer word; without it no letter or digit stands beside it
    blob        nor `+` or `/`, which would make it a piece of something in base64
    context     it is known by what stands before it, not by its own shape
    digits      so many digits must be in it
    near        one of these words must stand somewhere before it (`NEAR_BYTES`)
    check       luhn | iban | ip: what its checksum must satisfy (`checksums.CHECKS`)
    keepTail    false: not even its last four characters are shown
    published   SHA-256 digests (hex) of secrets that the service itself prints in its samples, which are nobody's; as digests, so that
                no other scanner takes the rule file for a leak
    profiles    ["stored", "outgoing"], which is what a rule has that says nothing

A rule whose `regex` is not `anchored` is searched in windows around the keywords, so that a keyword is to stand in the match or near it.
One that looks at where a text begins or ends (`edges.py`) costs time: all that is stored is then looked through text by text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from addons.core.redaction.checksums import CHECKS
from addons.core.redaction.engines import NATIVE, compile_pattern

PROFILES = ("stored", "outgoing")

MIN_VALUE_ENTROPY = 2.3
"""Bits per character of a `value` whose rule names none: a stand-in like `0000000000000000` has less, a random number more."""

Kind = Literal["search", "anchored", "value"]
Target = Literal["secret", "match", "line"]


class RuleError(ValueError):
    """One line: the file, the line, the rule, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class AllowList:
    """What is no secret although a rule matches. `every`: only where all its lists say so (`condition = "AND"`)."""

    patterns: tuple[str, ...] = ()
    stopwords: tuple[str, ...] = ()
    target: Target = "secret"
    every: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """As described above. `pattern` is in RE2's syntax; `group` is the secret's, None the first that has matched, or else all."""

    id: str
    pattern: str
    kind: Kind = "search"
    keywords: tuple[str, ...] = ()
    description: str = ""
    group: int | None = None
    entropy: float = 0.0
    digits: int = 0
    lead: str = ""
    near: tuple[str, ...] = ()
    check: str = ""
    quoted: bool = False
    assigned: bool = False
    bare: bool = False
    loose: bool = False
    blob: bool = False
    context: bool = False
    keep_tail: bool = True
    published: frozenset[str] = frozenset()
    profiles: tuple[str, ...] = PROFILES
    allow: tuple[AllowList, ...] = ()


_OWN_FIELDS = {
    "value",
    "anchored",
    "lead",
    "quoted",
    "assigned",
    "bare",
    "loose",
    "blob",
    "context",
    "digits",
    "near",
    "check",
    "keepTail",
    "published",
    "profiles",
}

_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "id": (str, "a text"),
    "description": (str, "a text"),
    "regex": (str, "a text"),
    "value": (str, "a text"),
    "lead": (str, "a text"),
    "check": (str, "a text"),
    "keywords": (list, "a list of texts"),
    "near": (list, "a list of texts"),
    "profiles": (list, "a list of texts"),
    "published": (list, "a list of texts"),
    "entropy": ((int, float), "a number"),
    "secretGroup": (int, "a whole number"),
    "digits": (int, "a whole number"),
    **{name: (bool, "true or false") for name in ("anchored", "quoted", "assigned", "bare", "loose", "blob", "context", "keepTail")},
}

_DIGEST = re.compile("[0-9a-f]{64}")

_PASSED_OVER = {"path", "tags", "allowlist", "allowlists", "report", "skipReport", "required", "validate"}
"""Fields of gitleaks that are known and not read by `_TYPES`."""

_TARGETS: dict[str, Target] = {"": "secret", "secret": "secret", "match": "match", "line": "line"}


def parse_rules(document: Mapping[str, Any], name: str, lines: Sequence[int] = (), *, native: bool = NATIVE) -> tuple[Rule, ...]:
    """The rules of one file. `name` is what errors call it, `lines` has the line on which each rule begins.

    A rule that has a path in place of a regex tells of files' names, and is left out. Raises RuleError for the first bad one.
    """
    entries = document.get("rules", [])
    if not isinstance(entries, list):
        raise RuleError(f"{name}: `rules` is no list; write [[rules]]")
    everywhere = _allow_lists(document, f"{name}: the allow-list at the top", native)
    if not entries and "extend" not in document:
        raise RuleError(f"{name}: holds no [[rules]]")
    rules = []
    for number, entry in enumerate(entries):
        place = f"{name}:{lines[number]}: " if number < len(lines) else f"{name}: "
        if not isinstance(entry, dict):
            raise RuleError(f"{place}rule {number + 1} is no table; write [[rules]]")
        place += f"rule {entry['id']}" if isinstance(entry.get("id"), str) and entry["id"] else f"rule {number + 1}"
        if rule := _rule(entry, place, everywhere, native):
            rules.append(rule)
    return tuple(rules)


def disabled_rules(document: Mapping[str, Any]) -> frozenset[str]:
    """The ids of rules of earlier files that this one turns off (`[extend] disabledRules`)."""
    extend = document.get("extend")
    listed = extend.get("disabledRules", []) if isinstance(extend, dict) else []
    return frozenset(name for name in listed if isinstance(name, str)) if isinstance(listed, list) else frozenset()


def _rule(entry: Mapping[str, Any], place: str, everywhere: tuple[AllowList, ...], native: bool) -> Rule | None:
    _check_types(entry, place)
    if not entry.get("id"):
        raise RuleError(f"{place} has no id")
    if "regex" in entry and "value" in entry:
        raise RuleError(f"{place} has both regex and value; write one of them")
    pattern = entry.get("regex") or entry.get("value") or ""
    if not pattern:
        if "path" in entry:
            return None
        raise RuleError(f"{place} has no regex")
    kind: Kind = "value" if "value" in entry else "anchored" if entry.get("anchored") else "search"
    rule = Rule(
        id=entry["id"],
        pattern=pattern,
        kind=kind,
        keywords=tuple(word.lower() for word in entry.get("keywords", ())),
        description=entry.get("description", ""),
        group=entry.get("secretGroup") or None,
        entropy=float(entry.get("entropy", MIN_VALUE_ENTROPY if kind == "value" else 0.0)),
        near=tuple(word.lower() for word in entry.get("near", ())),
        keep_tail=entry.get("keepTail", True),
        published=frozenset(entry.get("published", ())),
        profiles=tuple(entry.get("profiles", PROFILES)),
        loose=entry.get("loose", not entry.keys() & _OWN_FIELDS),  # gitleaks' own regexes see to their ends themselves
        allow=(*_allow_lists(entry, place, native), *everywhere),
        **{field: entry[field] for field in ("digits", "lead", "check", "quoted", "assigned", "bare", "blob", "context") if field in entry},
    )
    _check(rule, place, native)
    return rule


def _check_types(entry: Mapping[str, Any], place: str) -> None:
    for field in entry.keys() - _TYPES.keys() - _PASSED_OVER:
        meant = get_close_matches(field, _TYPES, 1)
        raise RuleError(f"{place}: {field} is no field of a rule" + (f"; did you mean {meant[0]}?" if meant else ""))
    for field, (kind, words) in _TYPES.items():
        value = entry.get(field)
        if value is None:
            continue
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise RuleError(f"{place}: {field} is not {words}")
        if isinstance(value, list) and not all(isinstance(item, str) and item for item in value):
            raise RuleError(f"{place}: {field} is not {words}")


def _check(rule: Rule, place: str, native: bool) -> None:
    try:
        searched = rule.kind == "search"  # else matched at a known place, by `re` with or without google-re2
        groups = compile_pattern(rule.pattern, native=native and searched).groups
        if rule.lead:
            re.compile(rule.lead.encode())
    except (ValueError, re.error) as error:
        raise RuleError(f"{place}: the regex cannot be used: {error}") from None
    wrong = {
        f"secretGroup is {rule.group}, but the regex has {groups} groups": (rule.group or 0) > groups or (rule.group or 0) < 0,
        f"check is {rule.check!r}; write one of {', '.join(CHECKS)}": rule.check not in {"", *CHECKS},
        f"profiles is {list(rule.profiles)}; write some of {', '.join(PROFILES)}": not set(rule.profiles) <= set(PROFILES),
        "it needs keywords": rule.kind != "search" and not rule.keywords,
        "published holds something that is no SHA-256 digest in lower-case hex": not all(map(_DIGEST.fullmatch, rule.published)),
        "lead is for anchored rules": bool(rule.lead) and rule.kind != "anchored",
    }
    for text, is_wrong in wrong.items():
        if is_wrong:
            raise RuleError(f"{place}: {text}")


def _allow_lists(holder: Mapping[str, Any], place: str, native: bool) -> tuple[AllowList, ...]:
    listed = holder.get("allowlists", [])
    single = holder.get("allowlist")
    entries = [*(listed if isinstance(listed, list) else [listed]), *([single] if single is not None else [])]
    return tuple(found for entry in entries if (found := _allow_list(entry, place, native)))


def _allow_list(entry: Any, place: str, native: bool) -> AllowList | None:
    if not isinstance(entry, dict):
        raise RuleError(f"{place}: an allow-list is no table")
    patterns, stopwords = entry.get("regexes", []), entry.get("stopwords", [])
    for field, value in (("regexes", patterns), ("stopwords", stopwords)):
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise RuleError(f"{place}: {field} of an allow-list is not a list of texts")
    target = entry.get("regexTarget", "")
    if target not in _TARGETS:
        raise RuleError(f"{place}: regexTarget is {target!r}; write secret, match or line")
    for pattern in patterns:
        try:
            compile_pattern(pattern, native=native)
        except ValueError as error:
            raise RuleError(f"{place}: a regex of an allow-list cannot be used: {error}") from None
    every = str(entry.get("condition", "OR")).upper() in {"AND", "&&"}
    if every and (entry.get("paths") or entry.get("commits")):
        return None  # it holds for some files only, and there is no file here
    if not patterns and not stopwords:
        return None
    return AllowList(tuple(patterns), tuple(word.lower() for word in stopwords), _TARGETS[target], every)
