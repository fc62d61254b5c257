"""Reads the rule files that `redaction.rules` names: `builtin`, `personal`, or the path of a file in gitleaks' TOML format.

A rule of a later file takes the place of the earlier files' rules with the same id, and `[extend] disabledRules` turns some of them off.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from addons.config_types import ROOT
from addons.core.redaction.ruleset import Rule, RuleError, disabled_rules, parse_rules
from addons.core.redaction.scanner import Scanner

FOLDER = ROOT / "config" / "rules"
RULE_SETS = {"builtin": FOLDER / "builtin.toml", "personal": FOLDER / "personal.toml"}

_RULE = re.compile(r"^[ \t]*\[\[[ \t]*rules[ \t]*\]\]")


def rule_file(name: str) -> Path:
    """The file that an entry of `redaction.rules` means; a relative path is taken from the project's root."""
    return RULE_SETS.get(name) or ROOT / Path(name).expanduser()


@cache
def _read(path: Path, _mtime_ns: int, _size: int) -> tuple[tuple[Rule, ...], frozenset[str]]:
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, ValueError) as error:  # TOMLDecodeError tells the line; UnicodeDecodeError is a ValueError too
        raise RuleError(f"{_shown(path)}: cannot be read: {' '.join(str(error).split())}") from None
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _RULE.match(line)]
    return parse_rules(document, _shown(path), lines), disabled_rules(document)


def read_rules(names: Iterable[str]) -> tuple[Rule, ...]:
    """All rules of the named files, in their order. Raises RuleError, one line that names the file and, where it is one, the rule."""
    rules: list[Rule] = []
    for name in names:
        path = rule_file(name)
        try:
            state = path.stat()
        except OSError as error:
            raise RuleError(f"{_shown(path)}: cannot be read: {error.strerror or error}") from None
        own, disabled = _read(path, state.st_mtime_ns, state.st_size)
        gone = disabled | {rule.id for rule in own}
        rules = [*(rule for rule in rules if rule.id not in gone), *own]
    return tuple(rules)


def make_scanner(profile: str, names: Sequence[str] = ("builtin",), exact: Iterable[str] = ()) -> Scanner:
    """The scanner of one profile (`stored`, `outgoing`). Raises RuleError."""
    return Scanner((rule for rule in read_rules(names) if profile in rule.profiles), exact)


def builtin_scanner() -> Scanner:
    """The rules that come with the program, of the stored profile."""
    return make_scanner("stored")


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
