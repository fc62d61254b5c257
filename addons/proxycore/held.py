"""An answer of which the client has seen nothing yet: an error on its way to its end, or a stream before its first content."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from mitmproxy import http
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import ResponseData, ResponseEndOfMessage, ResponseHeaders, ResponseTrailers

from addons.core.opening import Opening

HOLD_S, HOLD_BYTES = 5.0, 64 * 1024  # DESIGN §5: reasoning models ping for minutes before their first content
MAX_ASIDE_BYTES = 1024 * 1024  # of an error's body; providers' have a few kB, a gateway's page some 100

State = Literal["holding", "release", "failed"]


@dataclass
class Held:
    """`opening` reads a stream's beginning; None for an error, whose body is collected. `since`: monotonic clock, seconds."""

    begin: ResponseHeaders
    opening: Opening | None
    since: float
    events: list[HttpEvent] = field(default_factory=list)
    size: int = 0

    @property
    def error(self) -> tuple[str | None, str | None]:
        """Type and text of an error in place of a stream's content."""
        return self.opening.error if self.opening else (None, None)

    def take(self, event: HttpEvent) -> State:
        """One more piece. release: the client may have it, since content has come or it is too long to be held; failed: it is an
        error, now known as a whole or, in a stream, by its event."""
        self.events.append(event)
        if isinstance(event, ResponseData):
            self.size += len(event.data)
        ended = isinstance(event, ResponseEndOfMessage)
        if self.opening is None:
            return "failed" if ended else "release" if self.size > MAX_ASIDE_BYTES else "holding"
        verdict = self.opening.finish() if ended else self.opening.feed(event.data) if isinstance(event, ResponseData) else "unknown"
        if verdict == "error":
            return "failed"
        return "release" if verdict == "content" or ended or self.size > HOLD_BYTES else "holding"

    def replay(self) -> list[HttpEvent]:
        """What was held behind the headers, to be passed on: the body in one piece, since all of it is there."""
        rest = [event for event in self.events if not isinstance(event, ResponseData)]
        return [ResponseData(self.events[0].stream_id, self._body), *rest] if len(rest) < len(self.events) else rest

    @property
    def _body(self) -> bytes:
        return b"".join([event.data for event in self.events if isinstance(event, ResponseData)])

    def whole(self) -> http.Response:
        """The response with the body that has come, which may have broken off."""
        response = self.begin.response
        response.data.content = content = self._body
        response.trailers = next((event.trailers for event in self.events if isinstance(event, ResponseTrailers)), None)
        response.timestamp_end = time.time()
        if "content-length" in response.headers:
            response.headers["content-length"] = str(len(content))
        return response
