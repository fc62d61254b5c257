"""A stored body as a person reads it: as it was, its JSON indented, a stream as its events. Pure: bytes in, plain values out."""

from __future__ import annotations

from dataclasses import dataclass

from addons.core.decoders import NDJSONDecoder, SSEDecoder
from addons.core.eventstream import EventStreamDecoder
from addons.views.jsontext import indent_json
from addons.views.said import first_line

SHOWN_EVENTS = 300
SSE, NDJSON, FRAMES = (
    "text/event-stream",
    ("application/x-ndjson", "application/jsonl", "application/stream+json"),
    "application/vnd.amazon.eventstream",
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream: its name ("" without one), its data (JSON indented) and the beginning of that."""

    name: str
    data: str
    preview: str


@dataclass(frozen=True, slots=True)
class BodyView:
    """`text` is None for what is no text, `pretty` for what is no JSON or is indented already; `more_events` are not in `events`."""

    text: str | None
    pretty: str | None = None
    events: tuple[Event, ...] = ()
    more_events: int = 0


def view(content: bytes, content_type: str | None) -> BodyView:
    """What to show of a body. Bytes that are no text are not guessed at."""
    named = _events(content, content_type)
    shown = tuple(_event(name, data) for name, data in named[:SHOWN_EVENTS])
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return BodyView(None, None, shown, len(named) - len(shown))
    if "\0" in text:
        return BodyView(None, None, shown, len(named) - len(shown))
    pretty = None if named else indent_json(text)
    return BodyView(text, None if pretty == text else pretty, shown, len(named) - len(shown))


def event_payloads(content: bytes, content_type: str | None) -> list[bytes]:
    """The data of a stream's events; of any other body itself."""
    named = _events(content, content_type)
    return [data for _, data in named] if named else [content]


def _events(content: bytes, content_type: str | None) -> list[tuple[str, bytes]]:
    """(name, data) of each event; none of a body that is no stream."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind == SSE:
        sse = SSEDecoder()
        return [(event.name, event.data) for event in (*sse.feed(content), *sse.flush())]
    if kind in NDJSON:
        lines = NDJSONDecoder()
        return [("", line) for line in (*lines.feed(content), *lines.flush())]
    if kind == FRAMES:
        frames = EventStreamDecoder()
        return [(frame.kind, frame.payload) for frame in (*frames.feed(content), *frames.flush())]
    return []


def _event(name: str, data: bytes) -> Event:
    text = data.decode("utf-8", "replace")
    return Event(name, indent_json(text) or text, first_line(text))
