"""What is sent of a request, by policy."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from addons.core.attempt import Request
from addons.core.redaction.bodies import BodyScanner
from addons.core.redaction.findings import Finding
from addons.core.redaction.known import Known
from addons.core.redaction.memory import Memory
from addons.core.redaction.outgoing import Blocked, Cleaned, Policy, Unreadable, clean
from addons.core.redaction.paths import paths
from addons.core.redaction.placeholders import PlaceholderMap, PlaceholderMaps
from addons.core.redaction.restoring import restore_body
from addons.rulefiles import make_scanner
from tests.rooms import new_key

SECRET = new_key("sk-proj-")
SCANNER = BodyScanner(Known((), make_scanner("outgoing")))
JSON = (b"Content-Type", b"application/json")


def pairs() -> PlaceholderMap:
    return PlaceholderMaps(b"k" * 32).map_for("client", "conversation", 0.0)


def chat(text: str, **more: Any) -> bytes:
    return orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more})


def cleaned(
    body: bytes | None, mode: str, known: PlaceholderMap | None = None, *headers: tuple[bytes, bytes], restore: str = "text_and_tools"
) -> Cleaned:
    request = Request("POST", "https", "x.test", 443, "/v1/chat/completions", (JSON, *headers), body)
    policy = Policy(mode, restore)  # type: ignore[arg-type]
    return clean(request, policy, SCANNER, lambda: known or pairs())


@pytest.mark.parametrize("mode", ["off", "mask", "block", "placeholder"])
def test_without_a_secret_the_request_is_the_very_same(mode: str) -> None:
    """Byte for byte, so that prompt caches stay warm."""
    body = b'{ "model":"gpt-4o" , "messages": [{"role":"user","content":"Hi \\u00e9"}]}'
    done = cleaned(body, mode)
    assert done.request.body is body
    assert (done.notes, done.restorable) == ((), None)


def test_off_is_off() -> None:
    """Whatever stands there."""
    body = chat(SECRET)
    assert cleaned(body, "off").request.body is body


def test_masked() -> None:
    """The secret is gone for good, all else stays to the byte, and the note says where it was."""
    done = cleaned(chat(f"key {SECRET}!"), "mask")
    assert done.request.body == chat(f"key ***{SECRET[-4:]}!")
    assert done.restorable is None
    (note,) = done.notes
    assert (note.where, note.action) == ("request.body.messages[0].content", "mask")


def test_blocked() -> None:
    """Rule and place are told, the secret is not."""
    with pytest.raises(Blocked, match=r"messages\[0\]\.content") as raised:
        cleaned(chat(f"key {SECRET} {SECRET}"), "block")
    assert SECRET not in str(raised.value)
    assert "(and 1 more)" in str(raised.value)


def test_swapped_and_back() -> None:
    """The model sees a placeholder, the answer gives the secret back, and the answer is asked for uncompressed."""
    done = cleaned(chat(f"key {SECRET}"), "placeholder", None, (b"Accept-Encoding", b"gzip"))
    sent = orjson.loads(done.request.body or b"")["messages"][0]["content"]
    assert SECRET not in sent
    assert (b"Accept-Encoding", b"identity") in done.request.headers
    assert (b"Accept-Encoding", b"gzip") not in done.request.headers
    assert done.restorable
    answer = orjson.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": f"It is {sent}"}}]})
    assert SECRET in restore_body("openai.chat", answer, done.restorable, "text_and_tools").decode()


def test_the_next_turn_is_the_same_to_the_byte() -> None:
    """The same placeholder for the same secret; also where an answer has put it in other words, in which no rule finds it."""
    known = PlaceholderMaps(b"k" * 32).map_for("client", "conversation", 0.0)
    secret = "correct-Horse9battery"
    first = cleaned(chat(f'password = "{secret}"'), "placeholder", known).request.body
    assert first
    assert secret.encode() not in first
    second = cleaned(chat(f'password = "{secret}"') + b"\n" + chat(f"use {secret} then"), "placeholder", known).request.body
    assert second
    assert second.startswith(first)
    assert secret.encode() not in second


def test_our_own_placeholders_are_no_secrets() -> None:
    """One that a client sends back beside a word like `password` stays what it is, and is restored."""
    known = PlaceholderMaps(b"k" * 32).map_for("client", "conversation", 0.0)
    placeholder = known.placeholder(SECRET, "rule")
    done = cleaned(chat(f'password = "{placeholder}"'), "placeholder", known)
    assert orjson.loads(done.request.body or b"")["messages"][0]["content"] == f'password = "{placeholder}"'
    assert done.notes == ()
    assert done.restorable


def test_without_restoring_nothing_is_asked_of_the_answer() -> None:
    """`restore: off`."""
    done = cleaned(chat(f"key {SECRET}"), "placeholder", None, (b"Accept-Encoding", b"gzip"), restore="off")
    assert done.restorable is None
    assert (b"Accept-Encoding", b"gzip") in done.request.headers


def test_compressed_bodies_are_read_and_sent_plain() -> None:
    """With a finding; without one they stay as they are."""
    packed = gzip.compress(chat(f"key {SECRET}"))
    done = cleaned(packed, "mask", None, (b"Content-Encoding", b"gzip"))
    assert done.request.body == chat(f"key ***{SECRET[-4:]}")
    assert b"Content-Encoding" not in dict(done.request.headers)
    harmless = gzip.compress(chat("Hi"))
    assert cleaned(harmless, "mask", None, (b"Content-Encoding", b"gzip")).request.body is harmless


@pytest.mark.parametrize("mode", ["mask", "block", "placeholder"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (None, ()),
        (b"no gzip", ((b"Content-Encoding", b"gzip"),)),
        (b"x", ((b"Content-Encoding", b"rot13"),)),
        (b"", ((b"Upgrade", b"websocket"),)),
    ],
    ids=["not held", "broken", "unknown encoding", "WebSocket"],
)
def test_what_cannot_be_read_is_not_sent(mode: str, body: bytes | None, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Nobody knows what is in it."""
    with pytest.raises(Unreadable):
        cleaned(body, mode, None, *headers)


@pytest.mark.parametrize("mode", ["mask", "placeholder"])
def test_a_secret_that_stands_twice_is_gone_twice(mode: str) -> None:
    """Also where no rule would find it: a rule has told what it is."""
    secret = "correct-Horse9battery"
    done = cleaned(chat(f'password = "{secret}"; then type {secret} again'), mode)
    assert done.request.body
    assert secret.encode() not in done.request.body
    assert done.secrets == (secret,)
    assert secret not in repr(done)


@pytest.mark.parametrize("mode", ["mask", "block", "placeholder"])
def test_a_body_that_is_read_in_part_is_not_sent(mode: str) -> None:
    """Damage, bytes behind the end, an end that is missing, more than can be looked at: a secret may stand there."""
    whole = gzip.compress(chat("Hi"))
    broken = [gzip.compress(b"{}") + b" key " + SECRET.encode(), whole[:-9], gzip.compress(b" " * 33 * 2**20 + SECRET.encode())]
    for body in broken:
        with pytest.raises(Unreadable):
            cleaned(body, mode, None, (b"Content-Encoding", b"gzip"))


@pytest.mark.parametrize("upgrade", [b"websocket", b"WebSocket, x", b"foo"])
def test_no_connection_is_upgraded(upgrade: bytes) -> None:
    """What follows is no request that could be looked at."""
    with pytest.raises(Unreadable):
        cleaned(b"", "mask", None, (b"Upgrade", b"foo"), (b"Upgrade", upgrade))


def test_a_compressed_body_without_a_secret_keeps_its_header_or_loses_both() -> None:
    """In a conversation that has placeholders, whose answer must come plain."""
    known = PlaceholderMaps(b"k" * 32).map_for("client", "conversation", 0.0)
    known.placeholder(SECRET, "rule")
    done = cleaned(gzip.compress(chat("Hi")), "placeholder", known, (b"Content-Encoding", b"gzip"))
    assert done.request.body == chat("Hi")
    assert b"Content-Encoding" not in dict(done.request.headers)
    assert done.restorable


def test_no_false_alarms_by_what_is_known() -> None:
    """In a conversation that has a secret, other texts are judged as before."""
    known = PlaceholderMaps(b"k" * 32).map_for("client", "conversation", 0.0)
    known.placeholder(SECRET, "rule")
    body = chat("secret=7d904568cee46aa1")
    assert cleaned(body, "placeholder", known).request.body == cleaned(body, "placeholder").request.body


def test_a_history_with_a_secret_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for its secrets, nor for where else they stand, nor for their places in JSON; what is new is read."""
    looked: list[int] = []

    class Counting(Known):
        def find(self, data: bytes, cut: bool = False) -> list[Finding]:
            looked.append(len(data))
            return super().find(data, cut)

    monkeypatch.setattr("addons.core.redaction.bodies.Known", Counting)

    def walked(text: bytes, spans: Sequence[tuple[int, int]]) -> list[str]:
        looked.append(len(text))
        return paths(text, spans)

    monkeypatch.setattr("addons.core.redaction.bodies.paths", walked)
    scanner = BodyScanner(Counting((), make_scanner("outgoing")), Memory())
    turns = [{"role": "user", "content": f"turn {n} " + "word " * 300} for n in range(40)]
    turns[3]["content"] += f' password = "{SECRET}"'
    turns[20]["content"] += f" and again {SECRET}"
    known = pairs()

    def sent(count: int) -> Cleaned:
        looked.clear()
        body = orjson.dumps({"model": "m", "messages": turns[:count]})
        return clean(Request("POST", "https", "x.test", 443, "/", (JSON,), body), Policy("placeholder"), scanner, lambda: known)

    first, whole = sent(39), sum(looked)
    second = sent(40)
    assert sum(looked) < whole / 10
    assert second.notes == first.notes and {note.where for note in first.notes} >= {"request.body.messages[3].content"}
    assert SECRET.encode() not in (second.request.body or b"")
    turns[39]["content"] += f" once more {SECRET}"
    assert "request.body.messages[39].content" in {note.where for note in sent(40).notes}


def test_a_repeat_that_is_escaped_is_found() -> None:
    """JSON may write any letter as an escape, though nobody needs to."""
    secret = "correct-Horse9battery"
    body = chat(f'password = "{secret}"; then AGAIN').replace(b"AGAIN", b"\\u0063" + secret[1:].encode())
    done = cleaned(body, "mask")
    assert done.request.body
    assert secret[1:].encode() not in done.request.body
