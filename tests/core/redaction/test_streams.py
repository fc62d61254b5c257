"""Secrets cut over the events of a stream are found at every cutting, and the stream stays a stream."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Sequence

import pytest

from addons.core.redaction.bodies import BodyScanner
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.streams import find_across_events, joined_texts
from tests.core.redaction.planted import Values

SECRET = "sk-" + "".join(random.Random(5).choices(string.ascii_letters + string.digits, k=38)) + "9z"

Write = Callable[[Sequence[str]], bytes]


def sse(make: Callable[[str], object]) -> Write:
    return lambda pieces: (
        b"".join(b"event: x\ndata: " + json.dumps(make(piece)).encode() + b"\n\n" for piece in pieces) + b"data: [DONE]\n\n"
    )


WIRES: dict[str, tuple[str, Write]] = {
    "openai": (
        "text/event-stream; charset=utf-8",
        sse(lambda piece: {"id": "c1", "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}),
    ),
    "anthropic": (
        "text/event-stream",
        sse(lambda piece: {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}}),
    ),
    "responses": (
        "text/event-stream",
        sse(lambda piece: {"type": "response.output_text.delta", "item_id": "m1", "output_index": 0, "obfuscation": "aB3", "delta": piece}),
    ),
    "ollama": ("application/x-ndjson", lambda pieces: b"".join(json.dumps({"message": {"content": p}}).encode() + b"\n" for p in pieces)),
    "gemini array": (
        "application/json",
        lambda pieces: json.dumps([{"candidates": [{"content": {"parts": [{"text": p}]}}]} for p in pieces], indent=2).encode(),
    ),
}


def strings(content: bytes) -> str:
    """All strings of all events, joined."""
    found: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)
        elif isinstance(value, str):
            found.append(value)

    texts = [content] if content.startswith(b"[") else [line.removeprefix(b"data: ") for line in content.split(b"\n")]
    for text in texts:
        if text.startswith((b"{", b"[")) and text != b"[DONE]":
            walk(json.loads(text))
    return "".join(found)


@pytest.mark.parametrize("wire", WIRES)
def test_every_cut_in_two_and_single_characters(wire: str) -> None:
    """However the pieces are cut, the joined strings no longer hold the secret, nor most of it; what stood around it stays."""
    content_type, write = WIRES[wire]
    text = f"your key: {SECRET}, keep it"
    cuttings = [[text[:at], text[at:]] for at in range(1, len(text))] + [list(text), [text]]
    for pieces in cuttings:
        clean, notes = Redactor().body(write(pieces), content_type, "response.body")
        kept = "".join(c for c in strings(clean) if c in string.ascii_letters + string.digits + "*")
        assert SECRET not in strings(clean) and SECRET[8:30] not in kept, pieces
        assert "***9z" in kept or f"***{SECRET[-4:]}" in kept
        assert kept.count("***") == 1
        assert notes and {note.where for note in notes} == {"response.body"}


def test_other_events_keep_their_bytes() -> None:
    """Only the events that held a piece are written anew; without a secret the very same body comes back."""
    odd = b'data: {"a" :  "b"}\r\n\r\n: ping\n\ndata: not json\n\n'
    wire = WIRES["openai"][1]
    assert Redactor().body(odd, "text/event-stream", "x")[0] is odd
    clean, _ = Redactor().body(odd + wire([SECRET[:10], SECRET[10:]]), "text/event-stream", "x")
    assert clean.startswith(odd)


def test_two_choices_side_by_side() -> None:
    """Pieces of different choices are not joined, pieces of the same one are."""
    events = []
    for at in range(0, len(SECRET), 7):
        for index in (0, 1):
            events.append({"choices": [{"index": index, "delta": {"content": SECRET[at : at + 7]}}]})
    content = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    clean, notes = Redactor().body(content, "text/event-stream", "x")
    assert len(notes) == 2 and SECRET[7:14].encode() not in clean


def test_opaque_values_are_not_joined() -> None:
    """Ids and signatures that happen to make a secret when joined are left alone."""
    content = b"".join(b"data: " + json.dumps({"id": SECRET[at : at + 5]}).encode() + b"\n\n" for at in range(0, len(SECRET), 5))
    assert Redactor().body(content, "text/event-stream", "x") == (content, [])


def test_tool_arguments_that_come_in_pieces() -> None:
    """They are JSON in a string: escapes are decoded twice, names count, and what is left is JSON still."""
    arguments = json.dumps({"command": f'export KEY="{SECRET}"', "password": "Tr0ub4dor&3x"})
    write = WIRES["anthropic"][1]
    for size in (1, 3, 17, 1000):
        content = write([arguments[at : at + size] for at in range(0, len(arguments), size)])
        clean, notes = Redactor().body(content, "text/event-stream", "x")
        joined = "".join(json.loads(line[6:])["delta"]["partial_json"] for line in clean.split(b"\n") if line.startswith(b"data: {"))
        assert json.loads(joined) == {"command": f'export KEY="***{SECRET[-4:]}"', "password": "***"}, size
        assert len(notes) == 2


def test_only_the_pieces_change() -> None:
    """Spaces, escapes and order of an event that held a piece stay; a key that stands twice is left to the scan of the whole."""
    head, tail = b'data: {"b" : "\\u00e9\\/", "delta":  "a ', b'" , "x":1.0}\n\n'
    content = head + SECRET[:10].encode() + tail + head.replace(b"a ", b"") + SECRET[10:].encode() + b" b" + tail
    clean, _ = Redactor().body(content, "text/event-stream", "x")
    assert clean == head + b"***" + SECRET[-4:].encode() + tail + head.replace(b"a ", b"") + b" b" + tail
    twice = b'data: {"delta": "z", "delta": "' + SECRET.encode() + b'"}\n\n'
    masked = b"***" + SECRET[-4:].encode()
    assert Redactor().body(twice, "text/event-stream", "x")[0] == twice.replace(SECRET.encode(), masked)


def test_places_in_a_stream() -> None:
    """Each piece of a secret by itself, the first one as what it is, with the strings that it stands in."""
    arguments = json.dumps({"a": SECRET})
    content = WIRES["anthropic"][1]([arguments[:12], arguments[12:]])
    found = find_across_events(content, lambda texts: BodyScanner(Values([SECRET])).find_each(texts, "x"))
    assert [(place.secret, place.escapes, place.piece) for place in found] == [(SECRET, 2, 0), (SECRET, 2, 1)]
    assert b"".join(content[place.start : place.end] for place in found) == SECRET.encode()


@pytest.mark.parametrize("broken", [b'data: {"delta":"', b'data: {"delta":x}', b'data: {"a": "b\\', b"event: \xff", b'data: ["'])
def test_a_broken_event_hides_no_other(broken: bytes) -> None:
    """The strings of the events around it are read as they were, whether it comes first, between them or last."""
    events = [b"data: " + json.dumps({"n": n, "text": f"key {SECRET} end. "}).encode() for n in range(3)]
    masked = SECRET[-4:].encode()
    for at in range(4):
        lines = [*events[:at], broken, *events[at:]]
        clean, notes = Redactor().body(b"\n\n".join(lines) + b"\n\n", "text/event-stream", "x")
        assert SECRET.encode() not in clean and broken in clean and clean.count(b"key ***" + masked) == 3
        assert len(notes) == 3
        found = BodyScanner(Values([SECRET])).find(b"\n".join(lines), "text/event-stream", "x")  # each line by itself
        assert [place.secret for place in found] == [SECRET] * 3


def test_a_cut_event_is_read_to_its_end() -> None:
    """Also where other lines are read together with others of their kind."""
    content = b'event: x\ndata: {"delta":"a"}\n\nevent: y\ndata: {"text":"' + SECRET[:30].encode()
    clean, _ = Redactor().body(content, "text/event-stream", "x", cut=True)
    assert SECRET[:30].encode() not in clean and clean.startswith(b'event: x\ndata: {"delta":"a"}\n\nevent: y\ndata: {"text":"***')


def test_audio_in_pieces_is_left_alone() -> None:
    """Base64 that happens to hold a secret's shape, which a text would be masked for."""
    shape = "AKIA" + "".join(random.Random(3).choices("QRSTUVWXYZ234567", k=16))
    assert Redactor().text(f"UklGR/{shape}/A", "x")[1]
    sound = "UklGR/" * 50 + shape + "/A" * 150
    content = b"".join(b'data: {"type": "response.audio.delta", "delta": "' + sound.encode() + b'"}\n\n' for _ in range(2))
    assert Redactor().body(content, "text/event-stream", "x") == (content, [])


def test_the_texts_are_those_that_are_looked_through() -> None:
    """Read without where their pieces stand: marks, lists, opaque values, numbers, what is no JSON, audio."""
    events = [
        {"choices": [{"index": n % 2, "delta": {"content": f"c{n}", "tags": ["a", ["b", {"x": f"y{n}"}], 1, None]}}], "id": "i", "n": 1.5}
        for n in range(5)
    ]
    events += [{"item_id": "m", "output_index": True, "delta": "d", "data": {"a": "b"}, "index": 1.0}, {"delta": {}, "e": [], "f": ""}]
    events += [{"audio": "UklGR/" * 50}, {"a": "é\ud83d\ude00", "type": "t"}]
    lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: {x\n\n", b'data: ["q", {"r": "s"}]\n\n']
    for content in (b"".join(lines), b"\n".join(line[6:].strip() for line in lines), json.dumps(events).encode()):
        seen: list[bytes] = []
        find_across_events(content, lambda texts, seen=seen: [[] for _ in texts if not seen.append(_)])  # type: ignore[misc]
        assert sorted(seen) == sorted(joined_texts(content)) and len(seen) > 3
