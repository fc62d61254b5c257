"""The sweep tells what is clean: never of what the redactor would find something in."""

from __future__ import annotations

import json
import random

import pytest

from addons.core.redaction.bodies import BodyScanner
from addons.core.redaction.known import Known
from addons.core.redaction.memory import Memory
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.sweep import MAX_SWEPT_BYTES, Body, Sweep
from addons.rulefiles import read_rules
from tests.core.redaction.made import planted
from tests.core.redaction.planted import Values
from tests.core.redaction.test_streams import WIRES

KEY = "sk-" + "".join(random.Random(5).choices("QRSTUVWXYZqrstuvwxyz23456789", k=38)) + "9z"
JSON, SSE = "application/json", "text/event-stream"


def dirty(content: bytes, content_type: str | None, *, exact: tuple[str, ...] = ()) -> bool:
    sweep = Sweep(Known(exact))
    sweep.add_bodies({0: Body(content, content_type)})
    sweep.run()
    return bool(sweep.dirty)


def event(value: object) -> bytes:
    return b"event: x\ndata: " + json.dumps(value).encode() + b"\n\n"


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_redactor_finds_is_dirty(seed: int) -> None:
    """Secrets of all rules, in every wire's events cut anywhere, in whole bodies, and in JSON within JSON."""
    rng = random.Random(seed)
    rules = [rule for rule in read_rules(["builtin"]) if "stored" in rule.profiles]
    found = 0
    for rule in rng.sample(rules, 40):
        text = f"so {planted(rule, rng)} it is"
        size = rng.randint(1, 30)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        bodies: list[tuple[bytes, str | None]] = [(write(pieces), kind) for kind, write in WIRES.values()]
        bodies += [(json.dumps({"m": [text], "a": json.dumps({"x": text})}).encode(), JSON), (text.encode("utf-8", "replace"), None)]
        for content, kind in bodies:
            masked = Redactor().body(content, kind, "x")[1]
            found += bool(masked)
            assert dirty(content, kind) or not masked, (rule.id, content)
    assert found > 100


@pytest.mark.parametrize("kind", [JSON, SSE, None])
def test_what_holds_nothing_is_clean(kind: str | None) -> None:
    """Whole bodies, streams with names, ids and comments, with either end of lines."""
    stream = b": ping\n\n" + event({"i": 1, "d": {"t": "he"}}) + b"id: 7\n" + event({"i": 1, "d": {"t": "llo"}}) + b"data: [DONE]\n\n"
    for content in (b'{"a": "b", "n": 1234567890}', b'[{"a": "b"}]', b"plain", b"", stream, stream.replace(b"\n", b"\r\n")):
        assert not dirty(content, kind)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe{\0}\0",
        b'data: {"a": "b"}\rdata: {"c": "d"}\n\n',
        b'data: {"a": "b}\n\ndata: {"c": "d"}\n\n',
        b'data: {"a": b}\n\n',
        b'data: one\ndata: {"a": "b"}\n\n',
        b'event: {"a": "b"}\ndata: {"c": "d"}\n\n',
        b'data: {"a": "{"x"}\n\n',
        b'data: {"a": "sk-"}\n{"a": "b"}\n\n',
        b"data: " + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"\n\n",
        b'{"a": "' + b"x" * MAX_SWEPT_BYTES + b'"}',
    ],
)
def test_what_is_not_quite_what_it_seems_is_left_to_the_redactor(content: bytes) -> None:
    """Other encodings, other line ends, broken events, what is nested beyond measure, and what is long."""
    assert dirty(content, SSE if content.startswith(b"data") else None)


@pytest.mark.parametrize("kind", [SSE, "application/x-ndjson", "application/jsonl", None])
@pytest.mark.parametrize("before", ["", "\ufeff", "\n \n", " " * 20, "\ufeff" + "\n" * 20])
@pytest.mark.parametrize("written", ['"%s"\n', '"hello"\n"%s"\n', '{"a": "%s"}\n', '["%s"]', 'data: {"a": "%s"}\n\n'])
def test_escapes_are_read_where_the_redactor_reads_them(written: str, before: str, kind: str | None) -> None:
    """However a stream's lines begin: a string is JSON too."""
    escaped = "".join(f"\\u{ord(character):04x}" for character in KEY[:9]) + KEY[9:]
    content = (before + written % escaped).encode()
    assert dirty(content, kind) or (not Redactor().body(content, kind, "x")[1] and written.startswith("data"))  # no event, behind blanks


@pytest.mark.parametrize("size", [4, 7, 30])
@pytest.mark.parametrize("written", ['["%s"]', '\ufeff["%s"]', '"%s"', 'data: {"a": "%s"}', "%s"])
def test_what_events_say_together_is_read_like_any_text(written: str, size: int) -> None:
    """Whatever it is: where it cannot be read here the stream is not clean."""
    text = written % KEY
    content = b"".join(event({"i": 1, "d": {"t": text[at : at + size]}}) for at in range(0, len(text), size))
    assert Redactor().body(content, SSE, "x")[1] and dirty(content, SSE)


@pytest.mark.parametrize("text", ["\ufeff" + KEY, *("abc"[:n] + "\0d" for n in range(4)), "s\0k\0", '["a"]', '"a"', "data: a", ": a"])
def test_a_text_that_may_be_read_in_another_way_is_refused(text: str) -> None:
    """Behind a BOM, as UTF-16, as JSON, as a stream."""
    sweep = Sweep(Known(()))
    assert not sweep.add_text(0, text.encode()) and sweep.add_text(0, b"a" + b"bcd" + text.encode())


def test_a_form_is_one_although_it_begins_like_a_stream() -> None:
    """Its values are percent-encoded."""
    content = ("data: x&note=" + "".join(f"%{ord(character):02x}" for character in KEY)).encode()
    kind = "application/x-www-form-urlencoded"
    assert Redactor().body(content, kind, "x")[1] and dirty(content, kind)


def test_both_bodies_at_once() -> None:
    """What is JSON in both is read as one, unless one of them is none after all; the other is told as it is."""
    for second, told in ((b'{"b": "c"}', set()), (b'{"b": c}', {1}), (b'{"b": "' + KEY.encode() + b'"}', {1})):
        sweep = Sweep(Known(()))
        sweep.add_bodies({0: Body(b'{"a": "b"}', JSON), 1: Body(second, JSON)})
        sweep.run()
        assert sweep.dirty == told


def test_a_text_stands_with_its_body() -> None:
    """It is not looked at again, and is what its body is; also the joined text of a stream."""
    for content, text in ((b'{"a": "hello \\u00e9"}', "hello é".encode()), (event({"t": "hel"}) + event({"t": "lo"}), b"hello")):
        sweep = Sweep(Known(()))
        sweep.add_bodies({5: Body(content, SSE if b"data" in content else JSON)})
        assert sweep.holder_of(text) is not None and sweep.holder_of(b"other") is None and sweep.holder_of(b"{}") is None


def test_what_is_left_alone_in_a_body_is_not_sure() -> None:
    """A credential's shape in the field of an id stays there, but not where the same stands by itself."""
    value = f"see+{KEY}"
    body = json.dumps({"item_id": value}).encode()
    assert Redactor().body(body, JSON, "x")[0] == body and Redactor().text(value, "x")[1]
    sweep = Sweep(Known(()))
    sweep.add_bodies({0: Body(body, JSON)})
    holder = sweep.holder_of(value.encode())
    sweep.run()
    assert holder is not None and not sweep.dirty and not sweep.is_clean(value.encode(), holder)


def test_it_is_told_of_each_of_many_bodies_and_texts_what_is_in_it() -> None:
    """Also of a text that stands in a body where something else is found, and of both bodies that say the same."""
    bad = f"my key is {KEY}".encode()
    said = [b"one", bad, b"three", bad, b"", b"four"]
    sweep = Sweep(Known(()))
    sweep.add_bodies({number: Body(b'{"a": "%b", "b": "and %d"}' % (text, number), JSON) for number, text in enumerate(said)})
    holders = {text: sweep.holder_of(text) for text in (*said, b"and 1")}
    sweep.run()
    assert sweep.dirty == {1, 3}
    assert {text: holder is not None and sweep.is_clean(text, holder) for text, holder in holders.items()} == {
        text: text != bad for text in holders
    }


def test_exact_values_are_found_in_media_too() -> None:
    """Which no rule looks at."""
    blob = "UklGR/" * 60
    body = json.dumps({"data": blob + "my/exact/value" + blob}).encode()
    assert not dirty(body, JSON) and dirty(body, JSON, exact=("my/exact/value",))


def history(turns: int, last: str = "") -> Body:
    messages = [{"role": "user", "content": f"turn {number} " + "some words " * 200} for number in range(turns)]
    body = {"model": "m", "messages": [*messages, {"role": "user", "content": last}]}
    return Body(json.dumps(body, separators=(",", ":")).encode(), JSON, comes_again=True)


def test_of_a_history_only_what_is_new_is_looked_at() -> None:
    """What was clean is remembered, also for whoever looks at the body itself; a secret in what is new is seen."""
    values = Values([KEY])
    bodies = BodyScanner(values, Memory(), b"rules")

    def told(body: Body) -> set[int]:
        sweep = Sweep(values, bodies)
        sweep.add_bodies({0: body})
        sweep.run()
        return sweep.dirty

    assert not told(history(10))
    before = values.looked_at
    assert before > len(history(9).content)
    assert not told(history(10)) and not told(history(11)) and not bodies.find(history(11).content, JSON, "x")
    assert values.looked_at - before < 10_000
    assert told(history(12, f"my key is {KEY}")) == {0}
    assert [place.secret for place in bodies.find(history(12, f"my key is {KEY}").content, JSON, "x")] == [KEY]
    assert told(history(12, f"my key is {KEY}")) == {0} and not told(history(12))


def test_a_history_that_is_broken_is_left_to_the_redactor() -> None:
    """Junk between its strings, wherever it stands."""
    values = Values([KEY])
    whole = history(10).content
    for broken in (whole.replace(b'"messages":', b'"messages":x'), whole.replace(b"turn 9", b'turn "9'), whole + b" x"):
        sweep = Sweep(values, BodyScanner(values, Memory(), b"rules"))
        sweep.add_bodies({0: Body(broken, JSON, comes_again=True), 1: Body(b'{"a": "b"}', JSON)})
        sweep.run()
        assert sweep.dirty == {0}


def test_a_history_with_a_string_without_an_end_is_left_to_the_redactor() -> None:
    """Though all that stands behind it was seen before, so that it is the last that is looked at."""
    values = Values([KEY])
    bodies = BodyScanner(values, Memory(), b"rules")
    whole = history(10).content
    for content, told in (
        (whole, set()),
        (whole.replace(b'"},{"role":"user","content":"turn 6', b',{"role":"user","content":"turn 6'), {0}),
    ):
        sweep = Sweep(values, bodies)
        sweep.add_bodies({0: Body(content, JSON, comes_again=True)})
        sweep.run()
        assert sweep.dirty == told
