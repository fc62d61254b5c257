"""Placeholders in the raw text of JSON strings."""

from __future__ import annotations

import json
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.restore_text import ALPHABET, Restorable, Shape

SHAPE = Shape("QVK{16}")
ONE, TWO = SHAPE.write(secrets.randbits(80)), SHAPE.write(secrets.randbits(80))
NASTY = 'a"b\\c\n\u2028é😀\x7f'
PAIRS = Restorable({ONE: NASTY, TWO: "two"}, SHAPE)


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ("QVK", "prefix"),
        ("{16}", "prefix"),
        ("QV{16}x", "prefix"),
        ("Q{16}", "prefix"),
        ("qvk{16}", "prefix"),
        ("AKIA{16}", "G to Z"),  # \\u00AK: an escape may end in A
        ("Q K{16}", "prefix"),
        ('Q"K{16}', "prefix"),
        ("Q$K{16}", "prefix"),
        ("[[QVK{16}]]", "prefix"),
        ("QVK{12}", "at least 13"),
        ("QVK{0}", "at least 13"),
        ("QVK{62}", "at most 64"),
    ],
)
def test_a_bad_shape_is_refused(template: str, wrong: str) -> None:
    """What could be guessed, or would not come through JSON, a URL, a shell or a model."""
    with pytest.raises(ValueError, match=wrong):
        Shape(template)


@given(st.integers(0, 2**256 - 1))
def test_a_placeholder_has_its_shape(number: int) -> None:
    """Whatever the number; each of the bits that count makes another one."""
    made = SHAPE.write(number)
    assert made.startswith("QVK") and len(made) == SHAPE.length and set(made[3:]) <= set(ALPHABET)
    assert SHAPE.write(number ^ 1 << 79) != made == SHAPE.write(number ^ 1 << 80)


@pytest.mark.parametrize("nesting", [1, 2])
def test_a_restored_text_is_still_json(nesting: int) -> None:
    """Escaped once in a string, twice in JSON that stands in a string; all ASCII, so no client cuts it at a strange line end."""
    value = f"{ONE}-{TWO}{ONE}"
    for _ in range(nesting):
        value = json.dumps(value)
    raw = PAIRS.restored(value[1:-1].encode(), nesting)
    assert raw.isascii()
    read = json.loads(b'"' + raw + b'"')
    for _ in range(nesting - 1):
        read = json.loads(read)
    assert read == f"{NASTY}-two{NASTY}"


def test_only_known_placeholders_are_restored() -> None:
    """Also one that begins within what only looks like one."""
    foreign = "QVK" + "0" * 16
    assert PAIRS.restored(f"{foreign} {TWO}".encode(), 1) == f"{foreign} two".encode()
    assert PAIRS.restored(f"QVK123{TWO}QQ{TWO}".encode(), 1) == b"QVK123twoQQtwo"
    assert PAIRS.within(f"x{TWO}".encode()) and not PAIRS.within(foreign.encode() + TWO[:-1].encode())


@pytest.mark.parametrize("length", range(1, len(TWO)))
def test_the_beginning_of_a_placeholder_waits(length: int) -> None:
    """Every length of it, and nothing but it."""
    assert PAIRS.taken(b"text " + TWO[:length].encode(), 1, hold=True) == (b"text ", TWO[:length].encode())
    assert PAIRS.taken(b"text " + TWO[:length].encode(), 1, hold=False)[1] == b""


def test_only_the_beginning_of_a_known_placeholder_waits() -> None:
    """The end of a whole one is none; the first that fits is taken, since it may go on."""
    unlike = next(c for c in ALPHABET if c not in (ONE[3], TWO[3]))
    for text in ("QVKx", f"QVK{unlike}", "QVJ", TWO, "q", ""):
        assert PAIRS.taken(text.encode(), 1, hold=True)[1] == b""
    assert PAIRS.taken(f"QQ{TWO[:5]}".encode(), 1, hold=True) == (b"QQ", TWO[:5].encode())
    doubled = Restorable({"QQQ" + "0" * 13: "x"}, Shape("QQQ{13}"))
    assert doubled.taken(b"aQQQQ", 1, hold=True) == (b"aQ", b"QQQ")


@given(st.text('QVK0 \\"\n', max_size=12))
def test_a_text_that_needs_nothing_is_not_hot(text: str) -> None:
    """Whatever is restored or waits was seen before by the quick look at the whole chunk."""
    raw = json.dumps(text + "").encode()
    for shown in (raw, raw[:-1] + ONE.encode() + b'"', raw[:-1] + ONE[:7].encode() + b'"'):
        inside = shown[1:-1]
        new, held = PAIRS.taken(inside, 1, hold=True)
        assert PAIRS.hot(shown) or (new == inside and not held)


def test_an_ordinary_text_is_not_hot() -> None:
    """The quick look lets pass what ends in none of the prefix's letters, and quotes within arguments."""
    assert not PAIRS.hot(b'{"content":"a QUICK question: Q","finish_reason":"STOP"}'.replace(b': Q"', b': q"'))
    assert not PAIRS.hot(b'{"partial_json":"{\\"a\\": \\"Q\\"}"}')
    assert PAIRS.hot(b'{"content":"FAQ"}') and PAIRS.hot(b'{"content":"QVK0"}') and PAIRS.hot(TWO.encode())


def test_no_pairs_is_false() -> None:
    """Then no restorer is needed."""
    assert PAIRS and not Restorable({}, SHAPE)
