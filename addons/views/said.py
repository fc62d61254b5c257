"""What was said in a call, as plain values for templates (`llm/messages.html`): tool calls with their results, long texts folded.

    say(*read_messages(connection, call_id)) ──► (SaidMessage(role, parts: (SaidPart(kind, title, text, results), …)), …)

Knows no Datasette and no database: the call page, the difference of two calls and the exported HTML share it. Nothing here
is HTML; whoever shows it escapes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from addons.core.call import Message, Part
from addons.views.cells import size
from addons.views.jsontext import indent_json
from addons.views.shown import clipped

Side = Literal["request", "response"]
"""Which of a call's bodies a message stands in."""


class Picture(NamedTuple):
    """What an `<img>` gets as `src`, and (width, height) in pixels where they are known."""

    src: str
    pixels: tuple[int, int] | None = None


ImageSource = Callable[[Side, int, Part], str | Picture | None]
"""(side, number of the image among that side's images from 0, the part) → its picture, or the `src` alone; None: not shown, only named."""

PartSource = Callable[[Part], str | Picture | None]

SHOWN_CHARACTERS = 20_000
"""Of one part; a page with all of a 16 MiB body would choke a browser."""

FOLDED_CHARACTERS = 1500
"""A longer text of user or assistant is folded."""

FOLDED_AT = {"system": 400, "tool": 400}
"""Others are folded sooner: people look for what was asked and answered."""

PREVIEW_CHARACTERS = 120
MEDIA = ("image", "audio", "file")
KIND_NAMES = {"tool_call": "tool call", "tool_result": "result"}


@dataclass(frozen=True, slots=True)
class SaidPart:
    """One part. `title` is a line that names it ("" for plain text), `text` what it says (JSON indented), of which `missing` characters
    were left out; `preview` is its first line. `results` are those of a tool call. `url` is safe to link; `src` is for an `<img>`."""

    kind: str
    title: str = ""
    text: str = ""
    preview: str = ""
    is_json: bool = False
    folded: bool = False
    missing: int = 0
    call_id: str | None = None
    url: str | None = None
    src: str | None = None
    results: tuple[SaidPart, ...] = ()


@dataclass(frozen=True, slots=True)
class SaidMessage:
    """One message. `position` counts from 0 as in `call_messages`; `nested`: all its parts stand at their tool calls, so that it need not
    be shown again; `folded`: a long system prompt."""

    position: int
    role: str
    parts: tuple[SaidPart, ...]
    is_answer: bool = False
    nested: bool = False
    folded: bool = False
    preview: str = ""


def say(
    asked: Sequence[Message],
    answered: Sequence[Message] = (),
    *,
    image_source: ImageSource | None = None,
    shown: int = SHOWN_CHARACTERS,
    omit: range = range(0),
) -> tuple[SaidMessage, ...]:
    """The messages of a request followed by those of its answer, results at their tool calls. `shown`: the most characters of one part;
    `omit`: positions left out."""
    return match_results(say_apart(asked, answered, image_source=image_source, shown=shown, omit=omit))


def say_apart(
    asked: Sequence[Message],
    answered: Sequence[Message] = (),
    *,
    image_source: ImageSource | None = None,
    shown: int = SHOWN_CHARACTERS,
    omit: range = range(0),
) -> tuple[SaidMessage, ...]:
    """As `say`, with results where they were sent: for messages of several calls, which are matched together (`match_results`)."""
    sides: tuple[tuple[Side, Sequence[Message]], ...] = (("request", asked), ("response", answered))
    made: list[SaidMessage] = []
    position = 0
    for side, messages in sides:
        images = 0
        for message in messages:
            if position not in omit:
                parts = _parts(message, shown, _numbered(side, images, image_source))
                made.append(_message(position, message.role, parts, side == "response"))
            images += sum(part.kind == "image" for part in message.parts)
            position += 1
    return tuple(made)


def _parts(message: Message, shown: int, source: PartSource) -> tuple[SaidPart, ...]:
    return tuple(_part(part, message.role, shown, source) for part in message.parts)


def _numbered(side: Side, first: int, image_source: ImageSource | None) -> PartSource:
    """Asks for each image of a message, the first of which is number `first` of its side."""
    numbers = count(first)
    return lambda part: image_source(side, next(numbers), part) if image_source else None


def match_results(messages: Iterable[SaidMessage]) -> tuple[SaidMessage, ...]:
    """Puts each tool result beside the last call before it that has its id; where neither has an id, beside the first such call of the
    last turn that waits. A result without its call stays where it is."""
    made = list(messages)
    found: dict[Place, list[SaidPart]] = {}
    taken: set[Place] = set()
    waiting: dict[str | None, list[Place]] = {}
    for number, message in enumerate(made):
        if any(part.kind == "tool_call" and part.call_id is None for part in message.parts):
            waiting[None] = []  # calls without an id wait for the results of their own turn only
        for place, part in enumerate(message.parts):
            if part.kind == "tool_call":
                known = waiting.setdefault(part.call_id, [])
                known[:] = [*known, (number, place)] if part.call_id is None else [(number, place)]
            elif part.kind == "tool_result" and waiting.get(part.call_id):
                calls = waiting[part.call_id]
                found.setdefault(calls.pop(0) if part.call_id is None else calls[0], []).append(part)
                taken.add((number, place))
    return tuple(_nest(number, message, found, taken) for number, message in enumerate(made))


Place = tuple[int, int]
"""The number of a message and of a part in it."""


def _nest(number: int, message: SaidMessage, found: dict[Place, list[SaidPart]], taken: set[Place]) -> SaidMessage:
    kept = ((place, part) for place, part in enumerate(message.parts) if (number, place) not in taken)
    parts = tuple(replace(part, results=tuple(found.get((number, place), ()))) for place, part in kept)
    return replace(message, parts=parts, nested=bool(message.parts) and not parts)


def _message(position: int, role: str, parts: tuple[SaidPart, ...], is_answer: bool) -> SaidMessage:
    preview = next((part.preview for part in parts if part.preview), "")
    length = sum(len(part.text) + part.missing for part in parts)
    return SaidMessage(
        position,
        clipped(role, PREVIEW_CHARACTERS),
        parts,
        is_answer,
        folded=role == "system" and length > FOLDED_AT["system"],
        preview=preview,
    )


def _part(part: Part, role: str, shown: int, source: PartSource) -> SaidPart:
    data = part.data or {}
    whole, is_json = _readable(part)
    text = whole[:shown]
    made = SaidPart(
        kind=part.kind,
        title=clipped(_title(part, data)),
        text=text,
        preview=first_line(text),
        is_json=is_json,
        folded=_is_folded(part.kind, role, whole),
        missing=len(whole) - len(text),
        call_id=_string(data.get("id")),
    )
    if part.kind in MEDIA:
        address = _string(data.get("url"))
        made = replace(made, url=address if address and is_web_address(address) else None)
    found = source(part) if part.kind == "image" else None
    if found is None:
        return made
    picture = found if isinstance(found, Picture) else Picture(found)
    measured = f"{picture.pixels[0]} \N{MULTIPLICATION SIGN} {picture.pixels[1]}" if picture.pixels else None
    return replace(made, src=picture.src, title=", ".join(filter(None, (made.title, measured))))


def _readable(part: Part) -> tuple[str, bool]:
    """(the text as one reads it, is it JSON?): what tools take and give is mostly JSON in one line."""
    text = part.text or ""
    if part.kind not in ("tool_call", "tool_result"):
        return text, False
    indented = indent_json(text)
    return (text, False) if indented is None else (indented, True)


def _title(part: Part, data: dict[str, Any]) -> str:
    if part.kind in ("text", "refusal"):
        return "refusal" if part.kind == "refusal" else ""
    name = _string(data.get("name"))
    if part.kind in MEDIA:
        told = (_string(data.get(key)) for key in ("url", "id"))
        known = (_string(data.get("media_type")), name, _bytes(data.get("bytes")), *told)
        return ", ".join(filter(None, known))
    if part.kind == "other":
        return _string(data.get("type")) or "unknown"
    return " ".join(filter(None, (KIND_NAMES.get(part.kind, part.kind), name)))


def _is_folded(kind: str, role: str, text: str) -> bool:
    if kind == "reasoning":
        return True
    limit = FOLDED_AT["tool"] if kind in ("tool_call", "tool_result") else FOLDED_AT.get(role, FOLDED_CHARACTERS)
    return role != "system" and len(text) > limit  # a long system prompt is folded as a whole


def is_web_address(text: str) -> bool:
    """May this be linked? Only http and https: a link of any other scheme might run something."""
    try:
        parsed = urlsplit(text)
    except ValueError:  # e.g. half an IPv6 address
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.netloc)


def first_line(text: str) -> str:
    """The beginning of a text in one line."""
    flat = " ".join(text[: PREVIEW_CHARACTERS * 4].split())
    return flat if len(flat) <= PREVIEW_CHARACTERS and len(text) <= PREVIEW_CHARACTERS * 4 else f"{flat[:PREVIEW_CHARACTERS]}…"


def _string(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _bytes(value: object) -> str | None:
    return size(value) if isinstance(value, int) else None
