"""What a body is made of: spans that are JSON, text, a form's pairs, or bytes that mean nothing as text.

By the bytes rather than by their label where both are at hand: streams and errors come labelled `application/json`, JSON comes
labelled as anything. Parts do not overlap; what lies between them (boundaries, `data:` and the like) is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from functools import lru_cache
from typing import Literal, NamedTuple

Kind = Literal["json", "text", "form", "binary"]


class Part(NamedTuple):
    """`body[start:end]`."""

    start: int
    end: int
    kind: Kind


_MULTIPART, _FORM, _EVENTS = "multipart/form-data", "application/x-www-form-urlencoded", "text/event-stream"

BOM = b"\xef\xbb\xbf"

_JSON_START = re.compile(rb'\s*+[{\["]')
_SSE_START = re.compile(rb"(?:data|event|id|retry)?:[^\n]*(?:\n|\Z)")
_DATA_JSON = re.compile(
    rb"data:(?:(?<=[\r\n]data:)|(?<=\Adata:)|(?<=\A" + BOM + rb"data:))"  # at the beginning of a line; letters first are found faster
    rb'[ ]?(?![^\S\r\n]*\[DONE\])(?=[^\S\r\n]*[{\["])([^\r\n]*+(?:\r\n|[\r\n]|\Z))'
)
_NOTHING = re.compile(rb"\s*+(?:data: ?\[DONE\]\s*+)*+")
_TEXT_TYPE = re.compile(rb"content-type:\s*(?:text/|application/json)", re.IGNORECASE)
_BINARY_TYPE = re.compile(rb"content-type:\s*(?:image|audio|video|font)/", re.IGNORECASE)
_MAX_FORM_PARTS = 10_000


@lru_cache(256)
def bare_type(content_type: str | None) -> str:
    """The media type without its parameters, in lower case."""
    return (content_type or "").partition(";")[0].strip().lower()


def divide(body: bytes, content_type: str | None) -> list[Part]:
    """The parts of a body, in order."""
    kind, start = bare_type(content_type), _start(body)
    if is_event_stream(body, content_type):
        return list(_event_stream(body, start))
    if kind == _MULTIPART and (boundary := _boundary(content_type or "")):
        return list(_multipart(body, boundary))
    if _JSON_START.match(body, start):
        return [Part(start, len(body), "json")]
    if kind == _FORM:
        return [Part(start, len(body), "form")]
    return [Part(start, len(body), "binary" if kind.startswith(("image/", "audio/", "video/")) else "text")]


def is_event_stream(body: bytes, content_type: str | None) -> bool:
    """Is it read as server-sent events?"""
    kind, start = bare_type(content_type), _start(body)
    if kind == _FORM or (kind == _MULTIPART and _boundary(content_type or "")) or _JSON_START.match(body, start):
        return False
    return kind == _EVENTS or _SSE_START.match(body, start) is not None


def _start(body: bytes) -> int:
    return len(BOM) if body.startswith(BOM) else 0


def _event_stream(body: bytes, start: int) -> Iterator[Part]:
    """The JSON of each data line (WHATWG HTML, "Server-sent events"); what other lines say, joined where they are neighbours."""
    at = start
    for data in _DATA_JSON.finditer(body, start):
        begin, end = data.span()
        if at < begin and not _NOTHING.fullmatch(body, at, begin):
            yield Part(at, begin, "text")
        yield Part(data.start(1), end, "json")
        at = end
    if at < len(body) and not _NOTHING.fullmatch(body, at):
        yield Part(at, len(body), "text")


def _boundary(content_type: str) -> bytes | None:
    message = Message()
    message["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    found = message.get_param("boundary")
    return found.encode("utf-8", "replace") if isinstance(found, str) and found else None


def _multipart(body: bytes, boundary: bytes) -> Iterator[Part]:
    """RFC 7578 over RFC 2046 §5.1: of each part its headers as text, and its content by what it is."""
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*(?:\r?\n|\Z)")
    at: int | None = None
    begins = 0
    for found in delimiter.finditer(body):
        yield from _field(body, at, found.start()) if at is not None else [Part(0, found.start(), "text")]
        at, begins = found.end(), begins + 1
        if begins > _MAX_FORM_PARTS:
            break
    if at is None:
        yield Part(0, len(body), "text")  # not what its label says
    elif at < len(body):
        yield from _field(body, at, len(body))  # cut, or something behind the end


def _field(body: bytes, start: int, end: int) -> Iterator[Part]:
    blank = re.compile(rb"\r?\n\r?\n").search(body, start, end)
    head, content = (start, start) if blank is None else (blank.start(), blank.end())
    yield Part(start, head, "text")
    yield Part(content, end, _content_kind(body[start:head], body[content:end]))


def _content_kind(head: bytes, content: bytes) -> Kind:
    if _BINARY_TYPE.search(head) or b"\0" in content[:4096]:
        return "binary"
    if _JSON_START.match(content):
        return "json"  # a JSON Lines file for a batch too
    try:
        content.decode()
    except UnicodeDecodeError as error:
        cut = error.start >= len(content) - 3  # within a character
        return "text" if cut or _TEXT_TYPE.search(head) else "binary"  # another charset's letters hide no secret, whose own are ASCII
    return "text"
