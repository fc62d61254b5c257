"""Offsets in joined texts lead back to each text, and from there to the bytes it was decoded from."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.findings import Finding
from addons.core.redaction.jsonstrings import JsonStrings
from addons.core.redaction.pieces import FormPiece, JsonPiece, NumberPiece, Piece, joined, placed
from tests.core.redaction.planted import Values

NOTHING = Values([])


@given(st.lists(st.lists(st.binary(max_size=5), max_size=3), max_size=4), st.booleans())
def test_every_text_is_found_again(texts: list[list[bytes]], cut: bool) -> None:
    """By its place in the joined text."""
    pieces = [Piece(list(some)) for some in texts]
    text = joined(pieces, cut)
    for piece in pieces:
        for index, own in enumerate(piece.texts):
            if own:
                at = piece.at + piece.begin(index)
                assert text[at : at + len(own)] == own
                [(found, number, finding)] = placed(pieces, [Finding(at, at + len(own), "r")], NOTHING)
                assert found is piece and number == index and (finding.start, finding.end) == (0, len(own))


def test_a_single_text_is_not_copied() -> None:
    """A plain body goes to the scanner as it is."""
    text = b"x" * 100
    assert joined([Piece([text])], False) is text


@given(st.lists(st.sampled_from([b"a", b"%41", b"+", b"%zz", b"%", b"%4", b"=", b"&", b"%e2%82%ac"]), max_size=8).map(b"".join))
def test_a_form_goes_back_to_its_bytes(text: bytes) -> None:
    """Each character of each name and value, percent-encoded or not."""
    piece = FormPiece(text)
    for index, own in enumerate(piece.texts):
        for at in range(len(own)):
            start, end = piece.span(index, at, at + 1)
            assert unquote_to_bytes(text[start:end].replace(b"+", b" ")) == own[at : at + 1]


def test_json_and_its_numbers() -> None:
    """A string by its escapes, a number always whole."""
    text = rb'{"a\n": "b\u00e9c", "n": 1234567890}'
    strings = JsonStrings(text)
    piece, numbers = JsonPiece(strings), NumberPiece(strings, strings.number_texts(), None, 0)
    start, end = piece.span(1, 1, 3)
    assert text[start:end] == rb"\u00e9"
    start, end = numbers.span(0, 2, 4)
    assert text[start:end] == b"1234567890"
    assert piece.key(1) == b"a\n" and piece.key(0) is None and numbers.bare and piece.escapes == 1


def test_media_is_taken_out() -> None:
    """Of what is scanned, not of what is known."""
    piece = JsonPiece(JsonStrings(b'{"data": "' + b"A" * 300 + b'", "text": "' + b"A" * 300 + b'"}'))
    assert piece.take_blobs() == [1]
    assert piece.texts[1] == b"" and piece.decoded[1] == b"A" * 300 and piece.texts[3] == b"A" * 300
