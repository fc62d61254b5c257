"""A flow is written as a copy without secrets; the flow itself stays as it is."""

from __future__ import annotations

import gzip
import json
import secrets
from pathlib import Path

import pytest
import zstandard
from mitmproxy import flow, http, tcp
from mitmproxy.flow import Error
from mitmproxy.test.tflow import tflow, ttcpflow, twebsocketflow

from addons.exchange import open_exchange
from addons.flowfiles import LEFT_OUT, FlowFiles
from addons.state import State
from tests.rooms import UPSTREAMS, make_state, new_key

SECRET = "ghp_" + secrets.token_hex(18)


@pytest.fixture
def key() -> str:
    return new_key()


@pytest.fixture
def state(tmp_path: Path, key: str) -> State:
    return make_state(tmp_path, UPSTREAMS, {"OPENAI_KEY": key})


def masked(state: State, original: flow.Flow) -> http.HTTPFlow:
    before = original.get_state()
    copy = FlowFiles(state).masked(original)
    assert original.get_state() == before
    assert isinstance(copy, http.HTTPFlow)
    assert copy.id == original.id
    return copy


def call() -> http.HTTPFlow:
    made = tflow(resp=True)
    made.request.path = f"/v1/chat?key={SECRET}&a=1"
    made.request.headers = http.Headers(content_type="application/json", authorization=f"Bearer {SECRET}", x_note=f"see {SECRET}")
    made.request.content = json.dumps({"messages": [SECRET]}).encode()
    return made


def test_every_place_is_masked(state: State, key: str) -> None:
    """Path, headers, trailers, bodies, errors, comments, metadata."""
    original = call()
    original.backup()  # as before a user's edit
    assert original.response
    original.response.content = f"you said {key}".encode()
    original.response.headers["set-cookie"] = f"a={SECRET}"
    original.response.trailers = http.Headers(x_key=SECRET)
    original.error = Error(f"failed with {SECRET}")
    original.comment, original.metadata = f"see {SECRET}", {"why": SECRET, "count": 5}
    copy = masked(state, original)
    assert SECRET not in repr(copy.get_state()) and key not in repr(copy.get_state())
    assert copy.request.path == f"/v1/chat?key=***{SECRET[-4:]}&a=1"
    assert copy.request.json() == {"messages": [f"***{SECRET[-4:]}"]}
    assert copy.request.headers["content-length"] == str(len(copy.request.raw_content or b""))
    assert copy.metadata["count"] == 5


def test_without_a_secret_everything_stays(state: State) -> None:
    """To the byte."""
    original = tflow(resp=True)
    assert masked(state, original).get_state() == original.get_state()


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_came_compressed_is_plain(state: State, encoding: str) -> None:
    """Looked through, and with the right length."""
    original = call()
    plain = original.request.raw_content or b""
    original.request.raw_content = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    original.request.headers["content-encoding"] = encoding
    copy = masked(state, original)
    assert copy.request.raw_content == json.dumps({"messages": [f"***{SECRET[-4:]}"]}).encode()
    assert copy.request.headers["content-length"] == str(len(copy.request.raw_content))
    assert "content-encoding" not in copy.request.headers


def test_what_cannot_be_read_is_left_out(state: State) -> None:
    """An encoding that nobody knows may hide anything."""
    original = call()
    original.request.headers["content-encoding"] = "rot13"
    assert masked(state, original).request.raw_content == LEFT_OUT.encode()


def test_an_unfinished_answer_keeps_no_beginning_of_a_key(state: State, key: str) -> None:
    """Its end is missing."""
    original = call()
    assert original.response
    original.response.timestamp_end = None
    original.response.raw_content = f'data: {{"text": "{key[:20]}'.encode()
    copy = masked(state, original)
    assert copy.response and key[:8].encode() not in (copy.response.raw_content or b"")


def test_the_clients_own_credential_is_known(state: State) -> None:
    """Also where an attempt has replaced it in the flow; an answer may echo it."""
    own = "plain" + secrets.token_hex(8)
    original = tflow(resp=True)
    exchange = open_exchange(original, "call", "/", state.config, state.pools)
    exchange.record.request.headers = (("x-api-key", own),)
    assert original.response
    original.response.content = f"who is {own}?".encode()
    assert own not in repr(masked(state, original).get_state())


def test_a_pool_keys_hint_stays(state: State) -> None:
    """What the Recorder has left of it."""
    original = tflow()
    original.request.headers["authorization"] = "Bearer ...ab12"
    assert masked(state, original).request.headers["authorization"] == "Bearer ...ab12"


def test_websocket_messages(state: State) -> None:
    """Each for itself, and secrets cut over those of one side."""
    original = twebsocketflow()
    assert original.websocket
    made = original.websocket.messages
    made[0].content = f'{{"a": "{SECRET}"}}'.encode()
    half = [json.dumps({"delta": part}).encode() for part in (f"x {SECRET[:9]}", SECRET[9:])]
    for message, content in zip(made[1:], half, strict=False):
        message.content, message.from_client = content, False
    copy = masked(state, original)
    assert copy.websocket
    said = b"".join(message.content for message in copy.websocket.messages)
    assert said.count(b"***") == 2 and SECRET[9:].encode() not in said
    assert json.loads(copy.websocket.messages[2].content) == {"delta": ""}


def test_other_flows(state: State) -> None:
    """What is relayed as bare TCP."""
    original = ttcpflow()
    original.messages[0].content = f"token {SECRET}".encode()
    copy = FlowFiles(state).masked(original)
    assert isinstance(copy, tcp.TCPFlow) and copy.messages[0].content == f"token ***{SECRET[-4:]}".encode()


def test_before_there_is_a_configuration_nothing_is_written() -> None:
    """Nobody knows the keys yet."""
    with pytest.raises(AttributeError):
        FlowFiles(State()).masked(tflow())
