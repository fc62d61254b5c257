"""The secrets come back: every dialect, streamed and whole, however the answer is cut."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.call import AnswerReading
from addons.core.redaction import restore_frames, restoring
from addons.core.redaction.placeholders import PlaceholderMap, PlaceholderMaps
from addons.core.redaction.restore_text import Restorable
from addons.core.redaction.restore_values import Mode
from addons.core.redaction.restoring import Restorer, restore_body, stream_restorer
from tests.core.redaction.echoes import STREAMS, WHOLES, Answer, Cut, Said, read

CUTTINGS = 10_000
"""Of all dialects together, each one with deltas, chunks and a text of its own."""

KEYS = [
    'ab"c\\d' + secrets.token_hex(8),
    "line\r\n\ttwo\u2028€😀\x00" + secrets.token_hex(4),
    secrets.token_hex(20),
    "Q" + secrets.token_hex(9),
]
"""Everything that JSON escapes, and what clients trip over."""


def new_map() -> PlaceholderMap:
    found = PlaceholderMaps(secrets.token_bytes(32)).map_for("client", "conversation", 0)
    for key in KEYS:
        found.placeholder(key, "rule")
    return found


MAP = new_map()
PAIRS = MAP.snapshot()
FOREIGN = PAIRS.shape.write(secrets.randbits(100))
"""Of the same shape, made by nobody."""

SECRET = Said(
    reasoning=f"think of {KEYS[0]}, {FOREIGN}{KEYS[1]}",
    text=f"Q{KEYS[0]}{KEYS[1]}\nQV is no key, {KEYS[2]}! QVK: {KEYS[3]} {FOREIGN} Q",
    calls=({"a": f"x{KEYS[0]}y", KEYS[2]: [{"arguments": KEYS[1], "signature": KEYS[0]}, 1.5, None, True]}, {"b": f"{KEYS[3]}{KEYS[1]}Q"}),
)

SHORT = Said(KEYS[1], f"{KEYS[0]}{FOREIGN[:9]}{KEYS[2]}Q", ({"a": KEYS[0]},))
"""Less of it, for what is done ten thousand times."""


def hide(text: str) -> str:
    """What the model sees."""
    for key in KEYS:
        text = text.replace(key, MAP.placeholder(key, "rule"))
    return text


HIDDEN = SECRET.mapped(hide)
Make = Callable[[Said, Cut], Answer]


def whole(text: str) -> list[str]:
    return [text]


def letters(text: str) -> list[str]:
    return list(text)


def restored(answer: Answer, chunks: Iterable[bytes], pairs: Restorable = PAIRS, mode: Mode = "text_and_tools") -> bytes:
    restorer = restorer_of(answer, pairs, mode)
    return b"".join([*[restorer.feed(chunk) for chunk in chunks], restorer.flush()])


def restorer_of(answer: Answer, pairs: Restorable = PAIRS, mode: Mode = "text_and_tools") -> Restorer:
    restorer = stream_restorer(answer.api, answer.content_type, pairs, mode)
    assert restorer is not None
    return restorer


def seen(answer: Answer, content: bytes) -> AnswerReading:
    """What a client makes of it, but when it came."""
    return replace(read(answer.api, answer.content_type, content), first_content=None)


def at(content: bytes, places: Iterable[int]) -> list[bytes]:
    return [content[start:end] for start, end in pairwise([0, *sorted(places), len(content)])]


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Make:
    return STREAMS[request.param]


def test_an_answer_in_two_chunks_is_restored_wherever_it_is_cut(stream: Make) -> None:
    """The client reads its own secrets, in texts and in arguments, and the bytes are the same for every cut."""
    answer = stream(SHORT.mapped(hide), lambda text: [text[: len(text) // 2], text[len(text) // 2 :]])
    expected = restored(answer, [answer.content])
    assert seen(answer, expected) == seen(answer, stream(SHORT, whole).content)
    for place in range(len(answer.content) + 1):
        assert restored(answer, [answer.content[:place], answer.content[place:]]) == expected


@pytest.mark.parametrize("cut", [whole, letters], ids=["at once", "letter by letter"])
def test_an_answer_is_restored_event_by_event(stream: Make, cut: Cut) -> None:
    """In one delta, and in a delta per letter."""
    answer = stream(HIDDEN, cut)
    assert seen(answer, restored(answer, answer.events)) == seen(answer, stream(SECRET, whole).content)


@pytest.mark.parametrize("name", STREAMS)
def test_any_deltas_in_any_chunks_are_restored(name: str) -> None:
    """A placeholder cut over any number of deltas, these over any number of chunks."""
    dice = random.Random(name)
    hidden, secret = SHORT.mapped(hide), STREAMS[name](SHORT, whole)
    expected = seen(secret, secret.content)
    for _ in range(CUTTINGS // len(STREAMS)):
        density = dice.choice([0.02, 0.08, 0.25])
        answer = STREAMS[name](hidden, partial(cuts, density=density, dice=dice))
        content = answer.content
        chunks = at(content, dice.sample(range(len(content)), dice.choice([0, 3, 40])))
        assert seen(answer, restored(answer, chunks)) == expected


def cuts(text: str, density: float, dice: random.Random) -> list[str]:
    places = [place for place in range(1, len(text)) if dice.random() < density]
    return [text[start:end] for start, end in pairwise([0, *places, len(text)])]


def show(text: str) -> str:
    """What the model saw, as the client reads it."""
    for key in KEYS:
        text = text.replace(MAP.placeholder(key, "rule"), key)
    return text


def texts(answer: Answer, content: bytes) -> list[str]:
    parts = [part for message in seen(answer, content).messages for part in message.parts]
    return [part.text or "" for part in parts if part.kind != "tool_call"]


def test_nothing_is_lost_of_a_stream_that_breaks_off(stream: Make) -> None:
    """Wherever it does: what waited goes out, and the text is that of the broken stream with its secrets."""
    answer = stream(SHORT.mapped(hide), lambda text: [text[n : n + 6] for n in range(0, len(text), 6)])
    for place in range(0, len(answer.content), 31):
        content = answer.content[:place]
        assert texts(answer, restored(answer, at(content, [place // 2]))) == [show(text) for text in texts(answer, content)]


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_restored(name: str) -> None:
    """At once, and as it passes in two chunks, wherever it is cut; nothing but the placeholders changes."""
    hidden, secret = WHOLES[name](HIDDEN), WHOLES[name](SECRET)
    expected = restore_body(hidden.api, hidden.content, PAIRS, "text_and_tools")
    assert seen(hidden, expected) == seen(secret, secret.content)
    for place in range(0, len(hidden.content), 97):
        assert restored(hidden, at(hidden.content, [place])) == expected


@pytest.mark.parametrize("name", WHOLES)
def test_the_body_itself_comes_back_where_nothing_is_restored(name: str) -> None:
    """No copy, no other spacing."""
    content = WHOLES[name](SECRET).content
    assert restore_body(name, content, PAIRS, "text_and_tools") is content
    assert restore_body(name, WHOLES[name](HIDDEN).content, PAIRS, "off") == WHOLES[name](HIDDEN).content
    assert restore_body(name, b"{" + FOREIGN.encode(), PAIRS, "text_and_tools") == b"{" + FOREIGN.encode()


@pytest.mark.parametrize("cut", [whole, letters], ids=["at once", "letter by letter"])
def test_only_text_is_restored_where_tools_are_left_out(stream: Make, cut: Cut) -> None:
    """The mode `text`: calls come as the model made them, also where the last events repeat them."""
    mixed = Said(SECRET.reasoning, SECRET.text, HIDDEN.calls)
    answer = stream(HIDDEN, cut)
    assert seen(answer, restored(answer, answer.events, mode="text")) == seen(answer, stream(mixed, whole).content)


@pytest.mark.parametrize("name", WHOLES)
def test_only_text_of_a_whole_answer(name: str) -> None:
    """The mode `text` for a body."""
    hidden = WHOLES[name](HIDDEN)
    mixed = WHOLES[name](Said(SECRET.reasoning, SECRET.text, HIDDEN.calls))
    assert seen(hidden, restore_body(name, hidden.content, PAIRS, "text")) == seen(mixed, mixed.content)


def test_no_placeholder_is_left_and_what_is_signed_stays(stream: Make) -> None:
    """In no event, in no field; another conversation's stays, and so do signatures and ciphers that look like one."""
    answer = stream(HIDDEN, whole)
    content = restored(answer, answer.events)
    assert not any(MAP.placeholder(key, "rule").encode() in content for key in KEYS)
    marks = (FOREIGN.encode(), b'"signature":"QVKQVKQ"', b'"thoughtSignature":"QVKQ"', b'"encrypted_content":"QVKQ"')
    assert [content.count(mark) for mark in marks] == [answer.content.count(mark) for mark in marks]


def test_nothing_to_restore_needs_no_restorer() -> None:
    """Switched off, without pairs, or for pictures."""
    assert stream_restorer("openai.chat", "text/event-stream", PAIRS, "off") is None
    assert stream_restorer("openai.chat", "text/event-stream", Restorable({}, PAIRS.shape), "text") is None
    assert stream_restorer("openai.images", "image/png", PAIRS, "text") is None


@pytest.mark.parametrize("name", STREAMS)
def test_whole_events_without_a_placeholder_pass_at_once(name: str) -> None:
    """The same bytes in the same chunks."""
    answer = STREAMS[name](Said("I think", "so, word for word", ({"a": 1},)), letters)
    restorer = restorer_of(answer)
    assert [restorer.feed(event) for event in answer.events] == list(answer.events)
    assert restorer.flush() == b""


@pytest.mark.parametrize("name", STREAMS)
def test_only_what_may_be_a_placeholder_waits(name: str) -> None:
    """The text before it passes with its own event, and is never held back for what cannot go on as one."""
    made = MAP.placeholder(KEYS[2])
    answer = STREAMS[name](Said("", f"a {made} b", ()), lambda text: ["a " + made[:9], made[9:] + " b"] if text else [])
    restorer = restorer_of(answer)
    told = [restorer.feed(event) for event in answer.events]
    place = next(n for n, event in enumerate(answer.events) if f'"a {made[:9]}"'.encode() in event)
    assert b'"a "' in told[place] and made[:3].encode() not in told[place]
    assert any(KEYS[2].encode() in event for event in told[place + 1 :])


NEUTRAL = [STREAMS[name](Said("think", "of é\u2028 and 😀 text", ({"a": 'b"\\'},)), letters) for name in STREAMS]


@given(st.sampled_from(NEUTRAL), st.lists(st.floats(0, 1), max_size=12))
def test_without_a_placeholder_any_cut_gives_the_same_bytes(answer: Answer, places: list[float]) -> None:
    """Nothing is added, left out or written in another way."""
    assert restored(answer, at(answer.content, [int(place * len(answer.content)) for place in places])) == answer.content


MADE = MAP.placeholder(KEYS[0]).encode()
ROUGH = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [MADE, MADE[:7], b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"\n", b"\r", b"\n\n", b"data:", b"data: ", b"Q"]
        ),
        st.sampled_from(
            [b'"choices"', b'"delta"', b'"content"', b'"index"', b'"text"', b"null", b"1", b'{"a":' * 300, b"\xef\xbb\xbf", b"[DONE]"]
        ),
        st.sampled_from([event for answer in NEUTRAL for event in answer.events]),
    ),
    max_size=30,
)


@given(st.sampled_from([*NEUTRAL, Answer("other", "application/json", ()), Answer("ollama.chat", "", ())]), ROUGH)
def test_whatever_comes_nothing_is_raised(answer: Answer, chunks: list[bytes]) -> None:
    """And where no placeholder was restored or held, nothing is lost."""
    content = b"".join(chunks)
    given_back = restored(answer, chunks)
    restore_body(answer.api, content, PAIRS, "text_and_tools")
    if b"Q" not in content:
        assert given_back == content


@pytest.mark.parametrize("name", STREAMS)
def test_damaged_streams_pass(name: str) -> None:
    """A byte more, less or other, anywhere: nothing is raised, and all that is not damaged is restored."""
    dice = random.Random(name)
    content = STREAMS[name](SHORT.mapped(hide), whole).content
    for _ in range(60):
        place = dice.randrange(len(content))
        damaged = content[:place] + dice.choice([b"", b'"', b"\n", b"\xff", b"{"]) + content[place + dice.randrange(2) :]
        restored(STREAMS[name](SHORT, whole), at(damaged, [place]))


def test_a_very_long_event_passes(stream: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept, and the events after it are restored again."""
    monkeypatch.setattr(restore_frames, "MAX_HELD_BYTES", 3000)
    answer = stream(Said("", "b " * 3000 + hide(KEYS[0]), ()), lambda text: [text[:6000], text[6000:]] if text else [])
    content = restored(answer, at(answer.content, range(0, len(answer.content), 500)))
    assert json.dumps(KEYS[0])[1:-1].encode() in content and b"b " * 2999 in content


def test_a_very_long_body_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unrestored, rather than kept without bound."""
    monkeypatch.setattr(restoring, "MAX_HELD_BYTES", 100)
    answer = WHOLES["openai.chat"](HIDDEN)
    assert restored(answer, at(answer.content, range(0, len(answer.content), 30))) == answer.content


def test_lines_that_are_one_value_over_several_lines_are_restored() -> None:
    """Ollama's answer, printed prettily by a gateway."""
    content = b'{\n "message": {"content": "' + MADE + b'"},\n "done": true\n}'
    answer = Answer("ollama.chat", "application/json", (content,))
    assert seen(answer, restored(answer, at(content, range(0, len(content), 5)))).messages[0].parts[0].text == KEYS[0]


@pytest.mark.parametrize("name", [*STREAMS, *WHOLES])
def test_a_byte_order_mark_passes(name: str) -> None:
    """Also in pieces, and with space behind it; what follows is restored."""
    answer = STREAMS[name](SHORT.mapped(hide), whole) if name in STREAMS else WHOLES[name](SHORT.mapped(hide))
    expected = restored(answer, [answer.content])
    for start in (b"\xef\xbb\xbf", b"\n ", b"\xef\xbb\xbf\r\n"):
        assert restored(answer, [*at(start, range(1, len(start))), answer.content]) == start + expected
    assert restored(answer, [b"\xef\xbb"]) == b"\xef\xbb" and restored(answer, []) == b""


def test_errors_are_restored_too() -> None:
    """What a provider says of the request it says with the placeholders that it got."""
    error = b'{"error": {"message": "bad value ' + MADE + b'"}}'
    assert (
        read("openai.chat", "application/json", restored(Answer("openai.chat", "application/json", ()), [error])).error
        == f"bad value {KEYS[0]}"
    )
