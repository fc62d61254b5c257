"""One conversation as a single HTML file that can be mailed: it opens offline, runs nothing and loads nothing.

Every message stands there once, at the call that brought it: agents send the whole history with each call. The texts, the images and the
figures of one conversation are held in memory; the bodies are not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import addons.views
from addons.core.call import Message, Part, SqlValue, StoredBody, StoredCall
from addons.core.captured import header
from addons.core.conversations import end_after
from addons.storage.reading import KINDS
from addons.views.cells import duration, money
from addons.views.images import Image, find_images
from addons.views.said import SaidMessage, say
from scripts.exporting.captures import Brought, Captures

VIEWS = Path(addons.views.__file__).parent
TEMPLATES = Path(__file__).parent / "templates"
TITLE_CHARACTERS = 120
SHOWN_CHARACTERS = 1_000_000  # of one part; all of it, since nobody can ask for the rest in a mail
UNKNOWN = "\u2013"  # as on the pages: never 0

Row = dict[str, SqlValue]


@dataclass(frozen=True, slots=True)
class Turn:
    """A message at the call that brought it first; `images` are data: URLs of its image parts, in order."""

    call: int
    message: Message
    is_answer: bool
    images: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class ShownCall:
    """What the page says of one call."""

    id: str
    started_at: str
    when: str
    outcome: str
    error: str | None
    figures: tuple[tuple[str, str], ...]
    messages: tuple[SaidMessage, ...]


def pieces(captures: Captures) -> Iterator[bytes]:
    """The page, in pieces."""
    rows: list[Row] = []
    turns: list[Turn] = []
    history = History()
    for call in captures.brought():
        new = history.new(call)
        images = _images_of(captures, call, [place for place, *_ in new]) if any(map(_has_image, new)) else {}
        turns += [Turn(len(rows), message, is_answer, images.get(place) or _none(message)) for place, message, is_answer in new]
        rows.append(call.row)
    style = (VIEWS / "static" / "llm.css").read_text() + (TEMPLATES / "conversation.css").read_text()
    page = _environment().get_template("conversation.html")
    context = {
        "title": _title(rows),
        "figures": _totals(rows),
        "calls": _shown_calls(rows, turns),
        "style": Markup(style),  # our own two files
        "style_hash": f"sha256-{base64.b64encode(sha256(style.encode()).digest()).decode()}",
        "version": version("turnpike"),
    }
    for text in page.generate(context):
        yield text.encode("utf-8", "replace")


NewMessage = tuple[int, Message, bool]
"""(place in its call, the message, is it an answer)."""


class History:
    """What calls brought so far: messages that no call before had, by what is before them. System messages, which stand outside (agents
    change a word of theirs with every call), by their own text.

    What the store holds as one message is looked at once; what a client writes otherwise when it sends it again is told by its digest.
    """

    def __init__(self) -> None:
        self._ends: dict[int | None, bytes] = {None: b""}  # of all up to a message
        self._shown: set[bytes] = set()

    def new(self, call: Brought) -> list[NewMessage]:
        """The messages of the call that are to be shown."""
        found = []
        for place, (number, parent, is_answer) in enumerate(call.listed):
            message = call.new.get(number)
            if message is None:
                continue
            before = self._ends.get(parent, b"")
            end = before if message.role == "system" else end_after(before, message)
            self._ends.setdefault(number, end)
            key = _key(message, before, end)
            if key not in self._shown and message.parts:
                self._shown.add(key)
                found.append((place, message, is_answer))
        return found


def _key(message: Message, before: bytes, end: bytes) -> bytes:
    """`end`; a message that adds nothing to it (system, reasoning alone) is told by its own text."""
    if message.role != "system" and end != before:
        return end
    outside = b"" if message.role == "system" else before
    return sha256(outside + repr(message).encode("utf-8", "replace")).digest()


def _has_image(found: NewMessage) -> bool:
    return any(_of_images(found[1]))


def _none(message: Message) -> tuple[str | None, ...]:
    return tuple(None for _ in _of_images(message))


def _images_of(captures: Captures, call: Brought, wanted: list[int]) -> dict[int, tuple[str | None, ...]]:
    """They are in the bodies, which are read for them alone; none where the call cannot be read."""
    whole = captures.whole(str(call.row["id"]))
    return _images(whole, list(whole.messages), set(wanted)) if whole else {}


def _images(call: StoredCall, messages: list[Message], wanted: set[int]) -> dict[int, tuple[str | None, ...]]:
    """For the messages at the places `wanted` the data: URLs of their images, each looked for in its body by its turn."""
    bodies = {body.kind: body for body in call.bodies}
    kinds = [KINDS[place >= len(messages) - call.answers] for place in range(len(messages))]
    parts = {
        kind: [part for message, of in zip(messages, kinds, strict=True) if of == kind for part in _of_images(message)] for kind in KINDS
    }
    images = {kind: iter(_found(bodies.get(kind), parts[kind])) for kind in KINDS}
    found = {}
    for place, (message, kind) in enumerate(zip(messages, kinds, strict=True)):
        of_message = [next(images[kind]) for _ in _of_images(message)]
        if place in wanted:
            found[place] = tuple(_data_url(image) for image in of_message)
    return found


def _of_images(message: Message) -> Iterator[Part]:
    return (part for part in message.parts if part.kind == "image")


def _found(body: StoredBody | None, parts: list[Part]) -> list[Image | None]:
    return find_images(body.content, header(body.headers, "content-type"), parts) if body else [None] * len(parts)


def _data_url(image: Image | None) -> str | None:
    found = image.decoded() if image else None
    return f"data:{found[1]};base64,{base64.b64encode(found[0]).decode()}" if found else None


def _shown_calls(rows: list[Row], turns: list[Turn]) -> Iterator[ShownCall]:
    """All messages are made readable as one list, so that a result finds its tool call in an earlier answer."""
    sources = [source for turn in turns for source in turn.images]
    said = say([turn.message for turn in turns], image_source=lambda _side, number, _part: sources[number], shown=SHOWN_CHARACTERS)
    by_call: dict[int, list[SaidMessage]] = {}
    for turn, message in zip(turns, said, strict=True):
        by_call.setdefault(turn.call, []).append(replace(message, is_answer=turn.is_answer))
    for number, row in enumerate(rows):
        started_at = str(row["started_at"])
        yield ShownCall(
            id=f"call-{row['id']}",
            started_at=started_at,
            when=f"{started_at[:10]} {started_at[11:19]} UTC",
            outcome=str(row["outcome"] or "unknown"),
            error=None if row["error"] is None else str(row["error"]),
            figures=tuple((name, _told(row, column, words)) for name, column, words in FIGURES),
            messages=tuple(by_call.get(number, ())),
        )


def _title(rows: list[Row]) -> str:
    first = next((str(row["prompt"]) for row in rows if row["prompt"]), "Conversation")
    flat = " ".join(first.split())
    return flat if len(flat) <= TITLE_CHARACTERS else f"{flat[:TITLE_CHARACTERS]}…"


def _totals(rows: list[Row]) -> list[tuple[str, str]]:
    models = dict.fromkeys(str(model) for row in rows if (model := _model(row)))
    return [
        ("Conversation", str(rows[0]["conversation_id"]) if rows else UNKNOWN),
        ("Calls", str(len(rows))),
        ("Models", ", ".join(models) or UNKNOWN),
        ("Input tokens", _sum(rows, "input_tokens", _count)),
        ("of them cached", _sum(rows, "cache_read_tokens", _count)),
        ("Output tokens", _sum(rows, "output_tokens", _count)),
        ("Cost", _sum(rows, "cost_usd", money)),
    ]


def _sum(rows: Iterable[Row], column: str, words: Callable[[Any], str]) -> str:
    """Of what is known."""
    known = [value for row in rows if isinstance(value := row[column], int | float)]
    return words(sum(known)) if known else UNKNOWN


def _told(row: Row, column: str, words: Callable[[Any], str]) -> str:
    value = _model(row) if column == "model" else row[column]
    return UNKNOWN if value is None else words(value)


def _model(row: Row) -> SqlValue:
    return row["response_model"] or row["served_model"] or row["model"]


def _count(number: float) -> str:
    return f"{number:,}"


FIGURES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("model", "model", str),
    ("in", "input_tokens", _count),
    ("cached", "cache_read_tokens", _count),
    ("out", "output_tokens", _count),
    ("cost", "cost_usd", money),
    ("first token", "ttft_ms", duration),
    ("took", "duration_ms", duration),
)
"""What stands in the line of a call: name, column, how it is written."""


def _environment() -> Environment:
    loader = FileSystemLoader([TEMPLATES, VIEWS / "templates"])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
