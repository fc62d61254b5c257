"""What a rule has matched is weighed: where it stands, how random it is, what is allowed."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.engines import NATIVE
from addons.core.redaction.ruleset import AllowList, Rule
from addons.core.redaction.verdicts import Verdict, entropy, least_entropy, stands_alone

NATIVES = [False, pytest.param(True, marks=pytest.mark.skipif(not NATIVE, reason="google-re2 is not here"))]


def judged(data: bytes, secret: bytes, native: bool = False, **fields: object) -> bool:
    """Is this secret, whose match is `key=` and it, one?"""
    start = data.index(secret)
    rule = Rule("r", ".", **fields)  # type: ignore[arg-type]
    return Verdict(rule, native=native)(data, (max(0, start - 4), start + len(secret), start, start + len(secret)))


def test_entropy_is_in_bits() -> None:
    """One letter has none, sixteen different ones have four, in short texts and long."""
    assert entropy(b"") == entropy(b"aaaa") == 0
    assert entropy(b"0123456789abcdef") == pytest.approx(4)
    assert entropy(b"0123456789abcdef" * 100) == pytest.approx(4)


@pytest.mark.parametrize(
    ("before", "after", "alone"),
    [
        *(
            ("", "", True),
            (" ", " ", True),
            ("x", "", False),
            ("", "x", False),
            ("-", "", True),
            ("_", "", False),
            ("", "-", True),
            ("\\n", "", True),
        ),
        *(("-p", "", True), ("a-p", "", False), ("\\x3d", "", True), ("=3D", "", True)),
        *(("%3D", "", True), ("\\u003d", "", True), ("/", "", True), ("", "/", True)),
    ],
)
def test_a_token_stands_alone(before: str, after: str, alone: bool) -> None:
    """No letter or digit stands beside it, but an escape's last one may."""
    data = f"{before}TOKEN{after}".encode()
    assert stands_alone(data, len(before), len(before) + 5) is alone


def test_a_piece_of_base64_stands_not_alone() -> None:
    """Where a rule says so, `+` and `/` count as well."""
    assert not stands_alone(b"/TOKEN", 1, 6, blob=True)
    assert not stands_alone(b"TOKEN+", 0, 5, blob=True)


def test_floors() -> None:
    """Too few digits or too little entropy is no secret."""
    assert judged(b"key=abc123", b"abc123", digits=3, entropy=2.5)
    assert not judged(b"key=abc123", b"abc123", digits=4)
    assert not judged(b"key=aaa111", b"aaa111", entropy=2.5)


def test_words_that_are_to_stand_near() -> None:
    """Stand before it, in any case, not too far."""
    assert judged(b"CURL -u key=abcdef", b"abcdef", near=("curl",))
    assert not judged(b"key=abcdef curl", b"abcdef", near=("curl",))
    assert not judged(b"curl" + b" " * 2000 + b"key=abcdef", b"abcdef", near=("curl",))


def test_checksums() -> None:
    """Decide where a rule names one."""
    assert judged(b"key=4539148803436467", b"4539148803436467", check="luhn")
    assert not judged(b"key=4539148803436468", b"4539148803436468", check="luhn")


def test_published_samples() -> None:
    """Are nobody's secrets: known by their digest, in all of their length."""
    published = frozenset([sha256(b"abcdef").hexdigest()])
    assert not judged(b"key=abcdef", b"abcdef", published=published)
    assert judged(b"key=abcdeg", b"abcdeg", published=published)


@pytest.mark.parametrize("native", NATIVES)
@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        (AllowList(stopwords=("bcd",)), True),
        (AllowList(stopwords=("xyz",)), False),
        (AllowList(("^ABC",)), True),
        (AllowList(("^key",)), False),
        (AllowList(("^key",), target="match"), True),
        (AllowList(("^line",), target="match"), False),
        (AllowList(("^line.*end$",), target="line"), True),
        (AllowList(("other",), target="line"), False),
        (AllowList(("^ABC",), ("xyz",), every=True), False),
        (AllowList(("^ABC",), ("def",), every=True), True),
        (AllowList(("^X",), ("def",), every=True), False),
    ],
)
def test_allow_lists(allow: AllowList, allowed: bool, native: bool) -> None:
    """By the secret, the match or its line; words in any case; all together where it says so."""
    data = b"other\nline key=ABCDEF end\nother"
    assert judged(data, b"ABCDEF", native, allow=(allow,)) is not allowed
    assert judged(data, b"ABCDEF", native, allow=(AllowList(("nothing",)), AllowList(stopwords=("no.thing",)), allow)) is not allowed


def test_stopwords_are_words() -> None:
    """Not patterns."""
    assert judged(b"key=abcxdef", b"abcxdef", allow=(AllowList(stopwords=("c.d",)),))


def test_whether_only_the_surroundings_count() -> None:
    """Not where words before it or the line are asked."""
    assert Verdict(Rule("r", "."), native=False).local
    assert not Verdict(Rule("r", ".", near=("x",)), native=False).local
    assert not Verdict(Rule("r", ".", allow=(AllowList(("x",), target="line"),)), native=False).local


@given(st.binary(min_size=1, max_size=60))
def test_entropy_is_never_less_than_its_least(value: bytes) -> None:
    """So that whoever has enough by the number of different bytes has enough."""
    assert least_entropy(len(value), len(set(value))) <= entropy(value)
