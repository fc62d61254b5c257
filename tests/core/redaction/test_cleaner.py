"""A cleaner masks before it cuts, and keeps the notes of one call."""

from __future__ import annotations

import random
import string

from addons.core.call import Message, Part
from addons.core.redaction.cleaner import SHARED_BYTES, Cleaner, look_ahead, subject
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.sweep import Body

KEY = "sk-" + "".join(random.Random(9).choices(string.ascii_letters + string.digits, k=38)) + "1q"


def test_text_is_masked_before_it_is_cut() -> None:
    """A secret that the cut goes through leaves no beginning."""
    cleaner = Cleaner(Redactor())
    assert cleaner.text("x" * 10 + " " + KEY, "t", limit=14) == "x" * 10 + " ***"
    assert cleaner.text(None, "t") is None
    assert [note.rule for note in cleaner.notes] == ["openai-key"]


def test_lone_surrogates_are_replaced() -> None:
    """What comes out can be written as UTF-8."""
    cleaner = Cleaner(Redactor())
    assert cleaner.text("a\udcffb", "t") == "a?b"
    assert cleaner.headers((("a", "\udcff"),), "h") == (("a", "?"),)
    assert cleaner.url("/\udcff", "p") == "/?"


def test_messages_are_masked_in_text_and_data() -> None:
    """Text, tool arguments, and what hangs on a part (an image's signed URL)."""
    cleaner = Cleaner(Redactor())
    message = Message(
        "user",
        (
            Part("text", f"key {KEY}"),
            Part("tool_call", f'{{"k":"{KEY}"}}', {"id": "call_1", "name": "f"}),
            Part("image", None, {"url": f"https://host/i.png?sig={KEY}", "bytes": 5}),
        ),
    )
    (clean,) = cleaner.messages([message], "request.messages", "request.body")
    assert KEY not in repr(clean)
    assert clean.parts[1].data == {"id": "call_1", "name": "f"}
    assert clean.parts[2].data == {"url": f"https://host/i.png?sig=***{KEY[-4:]}", "bytes": 5}
    assert {note.where for note in cleaner.notes} == {"request.messages"}


def test_a_secret_is_noted_once() -> None:
    """What the body's notes tell of is not told again of its messages."""
    cleaner = Cleaner(Redactor())
    cleaner.body(f'{{"text":"{KEY}"}}'.encode(), "application/json", "request.body", cut=False)
    cleaner.messages([Message("user", (Part("text", KEY),))], "request.messages", "request.body")
    assert [note.where for note in cleaner.notes] == ["request.body"]


def test_no_call_is_left_out_of_the_look_ahead() -> None:
    """With bodies or without, of one redactor or another, and where a group is full."""
    redactors = (Redactor(), Redactor())
    bodies: tuple[list[Body], ...] = ([], [Body(b"x", None)], [Body(b"x" * SHARED_BYTES, None)], [Body(b"", None)])
    asked = [(Cleaner(redactor), subject([f"hello {number}"], (), (), own)) for own in bodies for number, redactor in enumerate(redactors)]
    for some in (asked[:1], asked):
        look_ahead(some)
        assert all(set(told.texts) <= cleaner._ahead.texts for cleaner, told in some)


def test_a_clean_text_does_not_make_a_clean_message() -> None:
    """What else hangs on its part is looked at, and what no database takes is replaced."""
    cleaner = Cleaner(Redactor())
    messages = [Message("user", (Part("text", "hello", {"note": KEY}),)), Message("user", (Part("text", "a\udcffb"),))]
    look_ahead([(cleaner, subject([], (), messages))])
    assert {"hello", "a\udcffb"} <= cleaner._ahead.texts
    (with_data,), (with_surrogate,) = (cleaner.messages([message], "request.messages", "request.body") for message in messages)
    assert KEY not in str(with_data.parts[0].data) and with_surrogate.parts[0].text == "a?b"
