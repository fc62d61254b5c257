"""What RE2 writes otherwise is translated for `re`, and what `re` cannot say is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.engines import NATIVE, compile_pattern
from addons.core.redaction.gopatterns import Untranslatable, runs_away, translate

# A pattern of Go's, what it finds, what it does not.
TABLE: list[tuple[str, list[bytes], list[bytes]]] = [
    (r"(?i)abc", [b"ABC", b"xabc"], [b"ab"]),
    (r"a(?i)b|c", [b"aB", b"C", b"ab"], [b"Ab", b"B"]),
    (r"(x(?i)y)z", [b"xYz", b"xyz"], [b"xyZ", b"Xyz"]),
    (r"(?i:k)(?-i:e)y", [b"Key"], [b"kEy"]),
    (r"a$", [b"a", b"ba"], [b"a\n", b"ab"]),
    (r"(?m)^a$", [b"x\na\ny"], [b"xa"]),
    (r"a\z", [b"a"], [b"a\n"]),
    (r"\Aa", [b"ab"], [b"ba"]),
    (r"a\sb", [b"a b", b"a\tb"], [b"a\x0bb"]),
    (r"a[\s,]b", [b"a b", b"a,b"], [b"a\x0bb", b"ab"]),
    (r"a[\S]b", [b"axb", b"a\x0bb"], [b"a b"]),
    (r"(?P<n>a)(?<m>b)", [b"ab"], [b"a"]),
    (r"\Qa.b\E+", [b"a.b", b"a.bb"], [b"axb"]),
    (r"\Qa.b", [b"a.b"], [b"axb"]),
    (r"\x{41}\x42", [b"AB"], [b"ab"]),
    (r"[[:alpha:]_]+[[:digit:]]", [b"ab_1"], [b"1", b"ab"]),
    (r"[]a]b", [b"]b", b"ab"], [b"b"]),
    (r"[^]a]b", [b"xb"], [b"]b"]),
    (r"[[&|~-]x", [b"[x", b"&x", b"~x"], [b"x"]),
    (r"[$(|)]x", [b"$x", b"(x"], [b"x"]),
    (r"[\w.=-]{3}", [b"a.=", b"-_9"], [b"a b"]),
    (r"(?s)a.b", [b"a\nb"], [b"ab"]),
    (r"a.b", [b"axb", b"a\xffb"], [b"a\nb"]),
    (r"(?:a|b)*?c", [b"abc"], [b"ab"]),
    (r"\.\(\$", [b".($"], [b"."]),
]


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=pytest.mark.skipif(not NATIVE, reason="google-re2 is not here"))])
@pytest.mark.parametrize(("pattern", "found", "not_found"), TABLE)
def test_a_pattern_means_the_same(pattern: str, found: list[bytes], not_found: list[bytes], native: bool) -> None:
    """To both engines."""
    compiled = compile_pattern(pattern, native=native)
    assert all(compiled.search(text) for text in found)
    assert not any(compiled.search(text) for text in not_found)


@pytest.mark.parametrize(
    "pattern", [r"\pL", r"\C", r"(?U)a+", r"\x{1F600}", r"[[:^alpha:]]", r"[[:strange:]]", r"a)", r"\Z", "(a", "(?i)a)"]
)
def test_what_re_cannot_say_is_refused(pattern: str) -> None:
    """With words for it."""
    with pytest.raises(Untranslatable):
        translate(pattern)


@pytest.mark.skipif(not NATIVE, reason="google-re2 is not here")
@given(
    st.lists(st.sampled_from(["a", "B", ".", r"\s", "[^a]", "(?i)", "(", ")", "|", "$", "^", "*", "{2}", r"\.", "[[:upper:]]"]), max_size=9)
)
def test_whatever_both_compile_finds_the_same(parts: list[str]) -> None:
    """Random patterns over random text: the same places, or one of the two does not take it."""
    pattern = "".join(parts)
    try:
        one, other = compile_pattern(pattern), compile_pattern(pattern, native=False)
    except ValueError:
        return
    for text in (b"", b"a", b"aB.b A\na", b"aaBB\n"):
        first, second = one.search(text), other.search(text)
        assert (first and first.span()) == (second and second.span())


@pytest.mark.parametrize(
    ("pattern", "away"),
    [
        *((b"(a+)+", True), (b"(?:x?[a-z]{2,})*b", True), (b"((a|b+))+", True), (b"(?:a{1,40}){0,20}", True)),
        *((b"(?:a+b)+", False), (b"(?:a+){1,5}", False), (b"(?:abc)+", False), (b"a+b+", False), (b"(?:a{3})+", False), (b"(a|b)+", False)),
    ],
)
def test_what_could_take_for_ever(pattern: bytes, away: bool) -> None:
    """Is a repetition of nothing but a repetition."""
    assert runs_away(pattern) is away


def test_what_could_take_for_ever_is_refused_without_google_re2() -> None:
    """Which takes it, since it is linear whatever the pattern says."""
    with pytest.raises(ValueError, match="a repetition in a repetition"):
        compile_pattern("(a+)+b", native=False)
    if NATIVE:
        assert compile_pattern("(a+)+b").search(b"aab")
