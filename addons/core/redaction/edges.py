"""Does a rule look at where a text begins or ends? It finds something else in texts that are joined (`pieces.py`) than in each alone."""

from __future__ import annotations

import re
import warnings
from re import _compiler, _parser  # type: ignore[attr-defined]
from re import _constants as _codes  # type: ignore[attr-defined]
from typing import Any

from addons.core.redaction.gopatterns import Untranslatable, translate
from addons.core.redaction.ruleset import Rule

BESIDE = b'"'
"""What stands on either side of a text that is joined with others."""

_WORD_EDGES = {_codes.AT_BOUNDARY, _codes.AT_NON_BOUNDARY}
"""The same beside a quote as where nothing is."""

_CHARACTERS = {_codes.LITERAL, _codes.NOT_LITERAL, _codes.ANY, _codes.IN, _codes.GROUPREF}


def looks_at_edges(rule: Rule) -> bool:
    """Also where nobody can tell. `(?:["\\s]|$)` does not, since a quote does for the end."""
    if any(allowed.target == "line" for allowed in rule.allow):
        return True
    if rule.kind == "value":  # the whole of a value that was found already
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _has_edge(_parser.parse(translate(rule.pattern).encode()))
    except (Untranslatable, re.error, OverflowError, RecursionError):
        return True


def _has_edge(nodes: Any) -> bool:
    return any(_is_edge(code, value) for code, value in nodes)


def _is_edge(code: Any, value: Any) -> bool:
    if code in _CHARACTERS:
        return False
    if code is _codes.AT:
        return value not in _WORD_EDGES
    if code is _codes.BRANCH:
        return _has_edge_among(value[1])
    if code is _codes.SUBPATTERN:
        return _has_edge(value[3])
    if code in {_codes.MAX_REPEAT, _codes.MIN_REPEAT, _codes.POSSESSIVE_REPEAT}:
        return _has_edge(value[2])
    return True  # looks ahead or behind


def _has_edge_among(branches: Any) -> bool:
    """An edge that is all of a branch is none where another branch takes the quote."""
    takes_quote = any(len(branch) == 1 and branch[0][0] in _CHARACTERS and _takes_quote(branch) for branch in branches)
    return any(_has_edge(branch) and not (takes_quote and len(branch) == 1 and branch[0][0] is _codes.AT) for branch in branches)


def _takes_quote(branch: Any) -> bool:
    return branch[0][0] is not _codes.GROUPREF and _compiler.compile(branch).fullmatch(BESIDE) is not None
