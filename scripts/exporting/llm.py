"""A database in the schema of Simon Willison's `llm` (https://llm.datasette.io/en/stable/logging.html), for `llm logs -d FILE`.

The schema is the one before llm kept messages of their own (llm 0.27 to 0.35; newer ones add their tables to it when they open it, and
list what is in these). One call is one response:

    prompt          what this call's user said        system          the system messages
    response        what the model said               reasoning       what it thought, as far as it was shown
    prompt_json     the request's body                response_json   the answer's body, where it is one JSON value (not a stream)
    options_json    what the request sets beside      tools …         as the request declares them; calls and results as they were made
    attachments     images of the prompt, by the hash of their content, or by their address

Calls without a message (lists of models, embeddings, …) have no place there and are left out. Fragments and toolboxes are llm's own ideas:
their tables stay empty.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import orjson

from addons.core.call import Message, Part, StoredBody, StoredCall
from addons.core.captured import header
from addons.core.digest import REMINDER
from addons.core.jsonvalues import dig, obj, objects, parse, text
from addons.storage.migrations import statements
from addons.views.images import find_images
from scripts.exporting.captures import Captures
from scripts.exporting.jsonl import json_bytes
from scripts.exporting.llm_schema import MIGRATIONS, STATEMENTS

BATCH_CALLS = 200  # a transaction each
NAME_CHARACTERS = 100  # of a conversation, as llm cuts it
NOT_OPTIONS = frozenset(
    {
        *("model", "messages", "input", "contents", "prompt", "system", "systemInstruction", "system_instruction", "instructions"),
        *("tools", "toolConfig", "functions", "stream", "stream_options", "metadata"),
    }
)
"""What a request says that is no option of the model: it has a column of its own, or is nobody's business."""

Row = dict[str, Any]


def write(captures: Captures, path: Path) -> None:
    """Fills the empty file at `path`. Raises sqlite3.Error where the disk refuses."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")  # the file is thrown away where this fails, and has no name yet
        connection.execute("PRAGMA synchronous = OFF")
        _fill(Log(connection), captures)


def _fill(log: Log, captures: Captures) -> None:
    log.connection.execute("BEGIN")
    log.make_tables()
    for number, call in enumerate(captures.calls(), 1):
        if call.messages:
            log.add(call)
        else:
            captures.skipped()
        if number % BATCH_CALLS == 0:
            log.connection.execute("COMMIT")
            log.connection.execute("BEGIN")
    log.connection.execute("COMMIT")


class Log:
    """Writes calls into tables of llm's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def make_tables(self) -> None:
        for statement in statements(STATEMENTS):
            self.connection.execute(statement)
        self.connection.executemany("INSERT INTO _llm_migrations VALUES (?, datetime('now'))", [(name,) for name in MIGRATIONS])

    def add(self, call: StoredCall) -> None:
        """One response with all that hangs on it."""
        bodies = {body.kind: body for body in call.bodies}
        request = _json(bodies.get("request"))
        asked = call.messages[: len(call.messages) - call.answers]
        row = response_row(call, bodies, request)
        row["schema_id"] = self._schema(request)
        self._insert("conversations", conversation_row(call))
        self._insert("responses", row)
        self._attachments(row["id"], asked, bodies.get("request"))
        tools = {definition["name"]: self._tool(row["id"], definition) for definition in tools_of(request)}
        for part in _parts(call.messages[len(asked) :], "tool_call"):
            self._insert("tool_calls", {"response_id": row["id"], "arguments": arguments(part.text), **_tool_names(part, tools)})
        names = {dig(part.data, "id"): dig(part.data, "name") for part in _parts(asked, "tool_call")}
        for part in _parts(new_of(asked), "tool_result"):
            named = Part(part.kind, part.text, (part.data or {}) | {"name": dig(part.data, "name") or names.get(dig(part.data, "id"))})
            self._insert("tool_results", {"response_id": row["id"], "output": part.text or "", **_tool_names(named, tools)})

    def _insert(self, table: str, row: Row) -> None:
        """The first of equal keys stays."""
        columns = ", ".join(f'"{name}"' for name in row)
        sql = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES (?{', ?' * (len(row) - 1)})"
        self.connection.execute(sql, tuple(row.values()))

    def _schema(self, request: Any) -> str | None:
        """The JSON schema that the answer was to have, under the id that llm makes of it."""
        asked = dig(request, "response_format", "json_schema", "schema") or dig(request, "text", "format", "schema")
        if not isinstance(asked, dict):
            return None
        content = json.dumps(asked, separators=(",", ":"))
        schema_id = blake2b(content.encode(), digest_size=16).hexdigest()
        self._insert("schemas", {"id": schema_id, "content": content})
        return schema_id

    def _tool(self, response_id: str, definition: Row) -> int:
        """Its number; equal definitions are one tool, by the hash that llm makes."""
        digest = sha256(json.dumps(definition).encode()).hexdigest()
        row = definition | {"hash": digest, "input_schema": json_bytes(definition["input_schema"]).decode()}
        self._insert("tools", row)
        (number,) = self.connection.execute("SELECT id FROM tools WHERE hash = ?", (digest,)).fetchone()
        self._insert("tool_responses", {"tool_id": number, "response_id": response_id})
        return int(number)

    def _attachments(self, response_id: str, asked: Sequence[Message], body: StoredBody | None) -> None:
        """Those of the last message of the user."""
        parts = list(_parts(asked, "image"))
        message = last_of_user(new_of(asked))
        wanted = [part for part in message.parts if part.kind == "image"] if message else []
        first = next((number for number, part in enumerate(parts) if wanted and part is wanted[0]), 0)
        images = find_images(body.content, header(body.headers, "content-type"), parts) if body and wanted else [None] * len(parts)
        for order, part in enumerate(wanted):
            image = images[first + order]
            if row := attachment_row(part, image.decoded() if image else None):
                self._insert("attachments", row)
                self._insert("prompt_attachments", {"response_id": response_id, "attachment_id": row["id"], "order": order})


def response_row(call: StoredCall, bodies: dict[Any, StoredBody], request: Any) -> Row:
    """The columns of `responses` but for `schema_id`."""
    row, asked = call.row, call.messages[: len(call.messages) - call.answers]
    answered = call.messages[len(asked) :]
    model = row["model"] or row["served_model"] or row["response_model"]
    duration = row["duration_ms"]
    options = {name: value for name, value in request.items() if name not in NOT_OPTIONS} if isinstance(request, dict) else {}
    user = last_of_user(new_of(asked))
    return {
        "id": row["id"],
        "model": model,
        "prompt": said([user]) if user else "",
        "system": said([message for message in asked if message.role == "system"]) or None,
        "prompt_json": _text(bodies.get("request")),
        "options_json": json_bytes(options).decode(),
        "response": said(answered),
        "response_json": _text(bodies.get("response")),
        "conversation_id": row["conversation_id"],
        "duration_ms": round(duration) if isinstance(duration, int | float) else None,
        "datetime_utc": str(row["started_at"]).replace("Z", "+00:00"),
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "token_details": token_details(row),
        "resolved_model": row["response_model"] if row["response_model"] != model else None,
        "reasoning": said(answered, ("reasoning",)) or None,
    }


def conversation_row(call: StoredCall) -> Row:
    """A conversation is called after what began it."""
    name = " ".join(str(call.row["prompt"] or "").split())
    short = name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…"
    return {"id": call.row["conversation_id"], "name": short, "model": call.row["model"]}


def attachment_row(part: Part, image: tuple[bytes, str] | None) -> Row | None:
    """Under the id that llm gives it: the hash of its content, or of its address. None where neither is known."""
    address = text(part.data, "url")
    if image:
        content, media_type = image
        return {"id": sha256(content).hexdigest(), "type": media_type, "path": None, "url": None, "content": content}
    if address:
        digest = sha256(json.dumps({"url": address}).encode()).hexdigest()
        return {"id": digest, "type": text(part.data, "media_type"), "path": None, "url": address, "content": None}
    return None


def token_details(row: Row) -> str | None:
    """What is known beside the totals (JSON)."""
    names = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    known = {name: row[name] for name in names if row[name] is not None}
    return json.dumps(known) if known else None


def tools_of(request: Any) -> Iterator[Row]:
    """The declared tools with a name: OpenAI's `function`, Anthropic's `input_schema`, Gemini's lists of declarations."""
    for tool in objects(request, "tools"):
        declared = objects(tool, "functionDeclarations") or objects(tool, "function_declarations") or [obj(tool, "function") or tool]
        for function in declared:
            if name := text(function, "name"):
                schema = obj(function, "parameters") or obj(function, "input_schema") or obj(function, "parametersJsonSchema")
                yield {"name": name, "description": text(function, "description"), "input_schema": schema}


def last_of_user(messages: Sequence[Message]) -> Message | None:
    """The last message of the user that says or shows something; None where tools' results alone are handed in."""
    spoken = (message for message in reversed(messages) if message.role == "user")
    return next((message for message in spoken if said([message]) or any(part.kind == "image" for part in message.parts)), None)


def new_of(messages: Sequence[Message]) -> Sequence[Message]:
    """What a request adds to its history: all behind the last answer in it. The beginning of one, for the model to go on with, is none."""
    end = len(messages)
    while end and messages[end - 1].role == "assistant":
        end -= 1
    begin = max((place for place in range(end) if messages[place].role == "assistant"), default=-1) + 1
    return messages[begin:end]


def said(messages: Iterable[Message], kinds: tuple[str, ...] = ("text", "refusal")) -> str:
    """Their texts, without the reminders that agents put before what was typed unless there is nothing else."""
    texts = [part.text for message in messages for part in message.parts if part.kind in kinds and part.text]
    return "\n".join([found for found in texts if not found.startswith(REMINDER)] or texts)


def _parts(messages: Iterable[Message], kind: str) -> Iterator[Part]:
    return (part for message in messages for part in message.parts if part.kind == kind)


def _tool_names(part: Part, tools: dict[str, int]) -> Row:
    name = text(part.data, "name")
    return {"name": name, "tool_call_id": text(part.data, "id"), "tool_id": tools.get(name or "")}


def arguments(given: str | None) -> str:
    """llm reads them as JSON, with SQLite's own functions: what is none (cut off, a name alone) is a JSON text."""
    if not given:
        return "{}"
    return given if _is_json(given) else json.dumps(given)


def _is_json(given: str | bytes) -> bool:
    """By the letter: NaN and half surrogates are none."""
    try:
        orjson.loads(given)
    except orjson.JSONDecodeError:
        return False
    return True


def _json(body: StoredBody | None) -> Any:
    return parse(body.content) if body else None


def _text(body: StoredBody | None) -> str | None:
    """A body that is one JSON value."""
    return body.content.decode() if body and _is_json(body.content) else None
