"""Texts are gathered once, scanned in one go, and what was found goes back to its owner."""

from __future__ import annotations

import json

from addons.core.redaction.gathering import Gathering
from addons.core.redaction.pieces import APART
from tests.core.redaction.planted import Values, token

A, B = token(20, 1), token(20, 2)


def test_one_run_of_the_scanner_for_all_owners() -> None:
    """And each gets its own traces, with offsets of its own text."""
    values = Values([A, B])
    gathering = Gathering(values)
    texts = [json.dumps({"x": A}).encode(), f"plain {B}".encode(), f"a={A}&b={B}".encode()]
    assert gathering.add(7, "json", texts[0]) and gathering.add(3, "text", texts[1]) and gathering.add(5, "form", texts[2])
    traces = gathering.traces(cut=False)
    assert {owner: [(t.start, t.escapes, t.form) for t in found] for owner, found in traces.items()} == {
        7: [(texts[0].index(A.encode()), 1, False)],
        3: [(6, 0, False)],
        5: [(2, 0, True), (25, 0, True)],
    }
    assert len(values.scanned) == 1


def test_what_is_no_json_is_refused() -> None:
    """Junk between strings, and a string that goes on into the next segment."""
    gathering = Gathering(Values([]))
    assert not gathering.add(0, "json", b'{"a": b}')
    assert not gathering.add(0, "json", b'{"a": "b', last=False)
    assert gathering.add(0, "json", b'{"a": "b', last=True)
    assert not gathering.add(0, "json", b'{"a":"', b'{"1":"2"}')  # read as one the rest would look like numbers
    assert gathering.add(0, "json", b'{"a":"3"}', b'{"1":"2"}')


def test_a_cut_text_comes_last() -> None:
    """What is open at the end is the end of what is scanned, whether it is JSON in a string or not."""
    for text in ('{"n": 123456789, "j": "[\\"x\\"]", "a": "beg', '{"a": "{\\"p\\": \\"beg', '{"j": "[\\"x\\"]", "k": "beg', "plain beg"):
        values = Values([])
        gathering = Gathering(values)
        gathering.add(0, "json" if text[0] == "{" else "text", text.encode())
        gathering.traces(cut=True)
        assert values.scanned[0].endswith(b"beg")


def test_strings_are_kept_apart() -> None:
    """A key and its value stand as in JSON, everything else apart."""
    values = Values([])
    gathering = Gathering(values)
    gathering.add(0, "json", b'{"a": "b", "c": ["d", "e"], "f": 1}')
    gathering.traces(cut=False)
    assert values.scanned == [b'"a": "b' + APART + b'c": "d' + APART + b"e" + APART + b"f" + APART]


def test_media_is_only_looked_through_for_exact_values() -> None:
    """It does not reach the scanner's rules."""
    blob = (token(300, 3) + A).encode()
    for rule, count in (("planted", 0), ("exact", 1)):
        values = Values([A], rule)
        gathering = Gathering(values)
        gathering.add(0, "json", b'{"data": "' + blob + b'"}')
        assert len(gathering.traces(cut=False).get(0, ())) == count
        assert not any(blob[:50] in scanned for scanned in values.scanned)
