"""HTTP/1.1 on a socket: one request at a time, in order."""

from __future__ import annotations

from scripts.fake_provider.answers import Reply, Responder, control_answer
from scripts.fake_provider.connection import Connection, Delivery
from scripts.fake_provider.http1 import ID_MARK, BadRequest, RequestReader, frame, serial_id

ONLY_STREAM = 0


class Http1Connection(Connection):
    """An answer without waits is written in the same turn of the loop as its request was read."""

    def __init__(self, responder: Responder, number: int, connections: set[Connection]) -> None:
        super().__init__(responder, number, connections)
        self._reader = RequestReader()
        self._keep_alive = True

    def data_received(self, data: bytes) -> None:
        self.wake()
        self._reader.feed(data)
        self.advance()

    def advance(self) -> None:
        while not self.deliveries and self.is_open:
            try:
                request = self._reader.next()
            except BadRequest as problem:
                self.transport.write(frame(control_answer(400, {"error": str(problem)})).all)
                self.transport.close()
                return
            if request is None:
                if self._reader.wants_continue:
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                super().advance()
                return
            self._keep_alive = request.keep_alive
            self._answer(self.receive(request))

    def _answer(self, reply: Reply) -> None:
        if reply.knobs.is_paced:
            self.deliver(ONLY_STREAM, Http1Delivery(self, reply))
            return
        self.note(reply, "answered")
        self.transport.write(frame(reply.answer).all.replace(ID_MARK, serial_id(reply.serial)))
        self.close_unless_kept(reply)

    def close_unless_kept(self, reply: Reply) -> None:
        if not self._keep_alive or reply.knobs.goaway:
            self.transport.close()


class Http1Delivery(Delivery[Http1Connection]):
    """With one request at a time, the connection is cut or reset where HTTP/2 would only need to break off a stream."""

    def __init__(self, connection: Http1Connection, reply: Reply) -> None:
        self._framed = frame(reply.answer)
        super().__init__(connection, reply, self._framed.parts)

    async def start(self) -> None:
        self._write(self._framed.start)

    async def send(self, part: bytes) -> None:
        await self.connection.writable.wait()
        self._write(part)

    async def finish(self) -> None:
        self.ended("answered")
        self._write(self._framed.end)
        self.connection.close_unless_kept(self.reply)

    async def cut(self) -> None:
        await self.connection.flush()
        self.ended("cut")
        self.connection.abort()

    def reset(self) -> None:
        self.connection.reset()

    def _write(self, data: bytes) -> None:
        self.connection.transport.write(data.replace(ID_MARK, self.serial))
