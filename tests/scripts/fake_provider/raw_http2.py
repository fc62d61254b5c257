"""An HTTP/2 client that hides nothing: it sends what it is told to, and gives every frame that comes."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, Frame, HeadersFrame, RstStreamFrame

CHAT = "/v1/chat/completions"
TIMEOUT_S = 5.0


class RawClient:
    """`h2` says what to send; what comes is read frame by frame past it, so that it may be anything at any time."""

    def __init__(self, connection: ssl.SSLSocket, window: int | None) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.h2.initiate_connection()
        if window is not None:
            self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.frames: list[Frame] = []
        self._connection = connection
        self._buffer = b""
        self.send()

    def ask(self, model: str, *, stream: bool = True, headers: Mapping[str, str] | None = None, send: bool = True) -> int:
        """A chat request with such a model (knobs); returns its stream. With `send` false it stays here until `send()`."""
        body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two"}]}).encode()
        number = self.begin(headers or {})
        self.h2.send_data(number, body, end_stream=True)
        if send:
            self.send()
        return number

    def begin(self, headers: Mapping[str, str]) -> int:
        """The head of a request alone; not sent yet."""
        number = self.h2.get_next_available_stream_id()
        head = {":method": "POST", ":path": CHAT, ":scheme": "https", ":authority": "llm.test"} | dict(headers)
        self.h2.send_headers(number, list(head.items()))
        return number

    def send(self, more: bytes = b"") -> None:
        self._connection.sendall(self.h2.data_to_send() + more)

    def read_until(self, seen: Callable[[Frame], bool]) -> Frame:
        """Reads on until such a frame comes. Raises EOFError when the connection ends before."""
        while True:
            frame = self._next_frame()
            if seen(frame):
                return frame

    def read_end(self, stream: int) -> Frame:
        """Reads on until the stream ends, well or with a reset."""
        return self.read_until(
            lambda frame: frame.stream_id == stream and ("END_STREAM" in frame.flags or isinstance(frame, RstStreamFrame))
        )

    def read_head(self, stream: int) -> Frame:
        return self.read_until(lambda frame: frame.stream_id == stream and isinstance(frame, HeadersFrame))

    def read_to_eof(self) -> None:
        try:
            self.read_until(lambda _: False)
        except EOFError:
            return

    def data(self, stream: int) -> list[bytes]:
        """The DATA frames of a stream that came so far."""
        return [bytes(frame.data) for frame in self.frames if isinstance(frame, DataFrame) and frame.stream_id == stream]

    def _next_frame(self) -> Frame:
        frame, length = Frame.parse_frame_header(memoryview(self._read(9)))
        frame.parse_body(memoryview(self._read(length)))
        self.frames.append(frame)
        return frame

    def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self._connection.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data


@contextmanager
def raw_client(port: int, ca_file: Path | None, *, window: int | None = None) -> Iterator[RawClient]:
    """Connected to a provider of this machine; `window` is the initial one of its streams, in bytes."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        yield RawClient(connection, window)
