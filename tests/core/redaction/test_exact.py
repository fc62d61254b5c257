"""Exact strings are found in every form in which a body may hold them."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from addons.core.redaction.engines import NATIVE
from addons.core.redaction.exact import ExactStrings

SECRET = 'päss/<w&rd>="' + "".join(random.Random(3).choices(string.ascii_letters, k=10)) + "\n'+x"

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json ascii": lambda s: json.dumps(s)[1:-1],
    "json utf-8": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "json upper-case escapes": lambda s: json.dumps(s)[1:-1].replace("\\u00e4", "\\u00E4"),
    "json in json": lambda s: json.dumps(json.dumps(s))[3:-3],
    "php": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "go": lambda s: json.dumps(s, ensure_ascii=False)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
    "percent": lambda s: quote(s, safe=""),
    "percent, slash kept": quote,
    "form": quote_plus,
    "percent, lower case": lambda s: (
        quote(s, safe="")
        .replace("%3C", "%3c")
        .replace("%3E", "%3e")
        .replace("%2F", "%2f")
        .replace("%C3", "%c3")
        .replace("%A4", "%a4")
        .replace("%3D", "%3d")
        .replace("%0A", "%0a")
        .replace("%2B", "%2b")
    ),
}


@pytest.mark.parametrize("native", [NATIVE, False])
@pytest.mark.parametrize("many", [0, 40])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found(form: str, many: int, native: bool) -> None:
    """All of it is covered, whether few strings are looked for or many, with the libraries or without."""
    others = [f"another-string-{number:04}" for number in range(many)]
    written = FORMS[form](SECRET).encode()
    found = list(ExactStrings([SECRET, *others], native=native).find(b"<" * 5 + written + b" end"))
    assert any(f.start <= 5 and f.end >= 5 + len(written) for f in found)


def test_short_strings_are_left_out() -> None:
    """Seven characters would be found everywhere; eight count."""
    assert not list(ExactStrings(["turnpik"]).find(b"turnpike turnpike"))
    assert len(list(ExactStrings(["turnpike"]).find(b"turnpike turnpike"))) == 2


def test_beginning_of_a_secret_at_a_cut() -> None:
    """Where the end is missing, six characters of a secret's beginning are taken for it; without `cut` they are not."""
    strings = ExactStrings(["abcdefghijklmnop"])
    assert [(f.start, f.end) for f in strings.find(b"text abcdefgh", cut=True)] == [(5, 13)]
    assert not list(strings.find(b"text abcdefgh"))
    assert not list(strings.find(b"text abc", cut=True))


def test_repr_shows_nothing() -> None:
    """A log line of the object holds no secret."""
    assert "abcdefgh" not in repr(ExactStrings(["abcdefghijklmnop"]))


def test_case_counts() -> None:
    """A value in other letters is another one, also where many are looked for."""
    strings = ExactStrings([f"Secret-Value-{number:03}" for number in range(40)])
    assert not list(strings.find(b"secret-value-007 SECRET-VALUE-007"))
    assert [(f.start, f.end) for f in strings.find(b"x Secret-Value-007")] == [(2, 18)]


def test_half_a_surrogate_is_no_hindrance() -> None:
    """JSON may hold one."""
    assert list(ExactStrings(["secret\ud800value"]).find("secret\ud800value".encode("utf-8", "surrogatepass")))
