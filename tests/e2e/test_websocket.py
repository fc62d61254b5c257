"""A relayed WebSocket: OpenAI's realtime API through the base URL, its messages untouched, its usage in the row."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from tests.e2e.harness import Turnpike, new_key

DONE = {
    "type": "response.done",
    "response": {
        "object": "realtime.response",
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "text", "text": "hello\nthere"}]}],
        "usage": {"total_tokens": 25, "input_tokens": 20, "output_tokens": 5, "input_token_details": {"cached_tokens": 8}},
    },
}


class Peer:
    """One end of a WebSocket on a blocking socket."""

    def __init__(self, connection: socket.socket, kind: ConnectionType) -> None:
        self.socket, self.protocol = connection, WSConnection(kind)
        self.socket.settimeout(20)

    def send(self, event: Event) -> None:
        self.socket.sendall(self.protocol.send(event))

    def receive(self) -> Event:
        while True:
            for event in self.protocol.events():
                return event
            data = self.socket.recv(65536)
            self.protocol.receive_data(data or None)


@contextmanager
def realtime_server() -> Iterator[tuple[int, list[Any]]]:
    """Answers every message with DONE until the client closes; shows the headers and messages that came."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[Any] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            peer = Peer(connection, ConnectionType.SERVER)
            request = peer.receive()
            assert isinstance(request, Request)
            seen.append({name.decode().lower(): value.decode() for name, value in request.extra_headers} | {"target": request.target})
            peer.send(AcceptConnection())
            while isinstance(event := peer.receive(), TextMessage):
                seen.append(event.data)
                peer.send(TextMessage(json.dumps(DONE, indent=1)))
            if isinstance(event, CloseConnection):
                peer.send(event.response())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1]), seen
    finally:
        listener.close()
        thread.join(20)


def test_a_realtime_session(tmp_path: Path) -> None:
    """The pool's key goes upstream, messages pass as they are, and one row has model, usage and what was said."""
    key = new_key()
    with realtime_server() as (port, seen):
        upstream = {"base_url": f"http://127.0.0.1:{port}/v1", "default": True, "keys": [{"env": "REALTIME_KEY"}]}
        config = {"version": 1, "upstreams": {"openai": upstream}}
        with Turnpike(tmp_path, config, env={"REALTIME_KEY": key}) as turnpike:
            host, _, proxy_port = turnpike.base_url.removeprefix("http://").removesuffix("/proxy").partition(":")
            client = Peer(socket.create_connection((host, int(proxy_port))), ConnectionType.CLIENT)
            client.send(Request(host=f"{host}:{proxy_port}", target="/proxy/v1/realtime?model=gpt-realtime"))
            assert isinstance(client.receive(), AcceptConnection)
            sent = '{"type": "response.create",\n "response": {}}'
            for _ in range(2):
                client.send(TextMessage(sent))
                answer = client.receive()
                assert isinstance(answer, TextMessage) and json.loads(answer.data) == DONE
            client.send(CloseConnection(1000))
            assert isinstance(client.receive(), CloseConnection)
            client.socket.close()
            [row] = turnpike.wait_rows(1)
            body = turnpike.body(row["id"], "response").content
    assert seen[0]["authorization"] == f"Bearer {key}" and seen[0]["target"] == "/v1/realtime?model=gpt-realtime"
    assert seen[1:] == [sent, sent]
    assert (row["model"], row["client"]) == ("gpt-realtime", None)
    assert (row["api"], row["status"], row["outcome"], row["stream"]) == ("openai.realtime", 101, "ok", 1)
    assert (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"], row["tokens_source"]) == (40, 10, 16, "reported")
    assert [json.loads(line) for line in body.splitlines()] == [DONE, DONE]
