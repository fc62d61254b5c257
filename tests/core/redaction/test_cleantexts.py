"""What was clean is known again, to whom it was clean for."""

from __future__ import annotations

from addons.core.redaction.cleantexts import CLEAN_BYTES, MAX_KEPT_CHARACTERS, SHAPES, CleanTexts

SHORT, LONG = "gzip, deflate", "words " * MAX_KEPT_CHARACTERS


def test_what_is_noted_is_had() -> None:
    """Short or long, for what was looked for and under the same identity only."""
    texts = CleanTexts(b"rules")
    for text in (SHORT, LONG, "\ud800"):
        assert not texts.has(text)
        texts.note(text)
        assert texts.has(text) and not texts.has(text, SHAPES) and not texts.has(text + "!")
        assert not texts.under(b"others").has(text)
        assert texts.under(b"rules").has(text)


def test_many_are_asked_for_at_once() -> None:
    """The answer is that of asking for each."""
    texts = CleanTexts(b"rules")
    texts.note("a")
    texts.note("b", SHAPES)
    assert texts.missing({"a", "b", "c"}) == {"b", "c"}
    assert texts.missing({"a", "b", "c"}, SHAPES) == {"a", "c"}


def test_it_is_bounded() -> None:
    """However many there are, those that are asked for stay."""
    texts = CleanTexts(b"rules")
    texts.note("kept")
    for number in range(CLEAN_BYTES // 100):
        texts.note(f"text {number}")
        assert not texts.missing({"kept"})
    assert not texts.has("text 0")
