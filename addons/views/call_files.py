"""What a call's page links: a body as a download, an image out of a body. Both are served so that no browser takes them for a page."""

from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import unquote

from datasette.utils.asgi import Response

from addons.core.captured import header
from addons.storage.database import StoreError
from addons.storage.reading import read_body, read_messages
from addons.views.access import missing, read
from addons.views.curl import body_name
from addons.views.images import find_image
from addons.views.jsontext import indent_json


async def body_file(datasette: Any, request: Any) -> Response:
    """The stored bytes of a body as a download, which no browser runs or shows as a page."""
    call_id, kind = unquote(request.url_vars["call_id"]), request.url_vars["kind"]
    pretty = request.args.get("form") == "pretty"
    try:
        found = await read(datasette, request, lambda connection: stored_content(connection, call_id, kind, pretty))
    except StoreError as error:
        return missing(f"{error}.", 410)
    if found is None:
        return missing(f"No {kind} body is stored of call {call_id!r}.")
    content, plain = found
    headers = {
        "content-disposition": f'attachment; filename="{body_name(call_id, kind)}"',
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, no-store",
    }
    return Response(content, headers=headers, content_type="text/plain; charset=utf-8" if plain else "application/octet-stream")


def stored_content(connection: sqlite3.Connection, call_id: str, kind: str, pretty: bool) -> tuple[bytes, bool] | None:
    """(bytes of a body, is it text?), JSON indented if `pretty`; None: none is stored. Raises StoreError.

    Indenting many megabytes takes seconds: this is for a thread.
    """
    body = read_body(connection, call_id, kind)
    if body is None:
        return None
    content, plain = body.content, _is_text(body.content)
    if plain and pretty:
        text = content.decode()
        content = (indent_json(text, longest=len(text)) or text).encode()
    return content, plain


async def image_file(datasette: Any, request: Any) -> Response:
    """An image out of a body: PNG, JPEG, GIF or WebP by its own bytes, nothing else."""
    call_id, kind, number = unquote(request.url_vars["call_id"]), request.url_vars["kind"], int(request.url_vars["number"])
    try:
        found = await read(datasette, request, lambda connection: find_stored_image(connection, call_id, kind, number))
    except StoreError as error:
        return missing(f"{error}.", 410)
    if found is None:
        return missing("There is no such image, or it is of a kind that is not shown.")
    content, media_type = found
    headers = {
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "private, max-age=3600",  # what is stored of a call never changes
    }
    return Response(content, headers=headers, content_type=media_type)


def find_stored_image(connection: sqlite3.Connection, call_id: str, kind: str, number: int) -> tuple[bytes, str] | None:
    """(bytes, media type) of an image by its number among those of one side; None: it is not there. Raises StoreError."""
    body = read_body(connection, call_id, kind)
    if body is None:
        return None
    asked, answered = read_messages(connection, call_id)
    messages = asked if kind == "request" else answered
    parts = [part for message in messages for part in message.parts if part.kind == "image"]
    return find_image(body.content, header(body.headers, "content-type"), parts, number)


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False
