"""`/-/llm/call/<id>`: all that is known of one call.

read_facts(connection, call_id) ──► CallFacts ──► context(facts, links) ──► templates/llm/call.html
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from datasette.utils.asgi import Response

from addons.core.call import Message, Part
from addons.core.captured import header
from addons.storage.reading import KINDS
from addons.storage.shortids import calls_ending
from addons.views.access import DATABASE, absent, page, read
from addons.views.call_facts import BodyFacts, CallFacts, read_facts
from addons.views.cells import duration
from addons.views.conversation_facts import PAGE_CALLS
from addons.views.curl import Curl, curl_of, quote
from addons.views.images import find_images, is_shown, pixels
from addons.views.jsontext import indent_json, parse_json
from addons.views.links import Links
from addons.views.rawbody import BodyView, view
from addons.views.said import Picture, SaidMessage, Side, say
from addons.views.shown import Fact, clipped, facts_of, value_of, when
from addons.views.timing import timing_of

ERROR_CHARACTERS = 20_000
CLIP = 60  # of what was given as an id
SHOWN_MESSAGES = 200
"""Of a longer history the beginning is left out, unless it is asked for by `?messages=all`."""


async def call_page(datasette: Any, request: Any) -> Response:
    """The page; 404 for a call that is not (or no longer) there."""
    call_id = unquote(request.url_vars["call_id"])
    links = Links(datasette.urls.path)

    def look(connection: sqlite3.Connection) -> CallFacts | Sequence[str]:
        return read_facts(connection, call_id) or calls_ending(connection, call_id)

    facts = await read(datasette, request, look)
    if not isinstance(facts, CallFacts):
        return await _meant(datasette, request, call_id, [links.call(found) for found in facts], facts)
    return await page(
        datasette, request, "call.html", context(facts, links, all_messages=request.args.get("messages") == "all", where=_where(datasette))
    )


async def _meant(datasette: Any, request: Any, call_id: str, addresses: Sequence[str], ids: Sequence[str]) -> Response:
    """The way to the call whose id ends so, the choice of several, or that there is none."""
    if len(ids) == 1:
        query = f"?{request.query_string}" if request.query_string else ""
        return Response.redirect(f"{addresses[0]}{query}")
    short = call_id if len(call_id) <= CLIP else f"{call_id[:CLIP]}…"
    why = "It may have been pruned (capture.keep), or not be stored yet: a call is stored when it ends."
    told = f"Several calls end with {short!r}." if ids else f"There is no call {short!r} here. {why}"
    return await absent(datasette, request, "Which call?" if ids else "No such call", told, zip(addresses, ids, strict=True))


def _where(datasette: Any) -> str:
    """Options of a command that is to use what is looked at here."""
    captures = datasette.get_database(DATABASE)
    named = (("--config", getattr(captures, "config", None)), ("--database", captures.path))
    return " ".join(f"{option} {quote(str(path))}" for option, path in named if path)


def context(facts: CallFacts, links: Links, *, all_messages: bool = False, where: str = "") -> dict[str, Any]:
    """The template's values. `where`: options of commands."""
    row = facts.row
    call_id = str(row["id"])
    omit = range(0) if all_messages else _omitted(facts.asked)
    messages = say(facts.asked, facts.answered, image_source=_image_source(facts, links), omit=omit)
    request = facts.bodies.get("request")
    return {
        "title": f"Call …{call_id[-8:]}",
        "row": {name: clipped(value) for name, value in row.items()},
        "call_id": call_id,
        "tiles": facts_of(row, TILES),
        "details": facts_of(row, DETAILS),
        "timing": timing_of(row, facts.attempts, facts.deltas_ms),
        "attempts": [{name: value_of(value, name) for name, value in attempt.items()} for attempt in facts.attempts],
        "decision": read_decision(row.get("decision")),
        "redactions": [tuple(map(clipped, found)) for found in facts.redactions],
        "problems": [*facts.problems, *_missing_parts(facts)],
        "messages": messages,
        "history": history_end(messages, facts.new_from),
        "omitted": len(omit),
        "bodies": [_body_section(facts, kind, links) for kind in KINDS],
        "curl": _curl(row, request),
        "replay_command": " ".join(("turnpike replay", *([where] if where else []), quote(call_id))),
        "body_link": links.body(call_id, "request") if request and not request.problem else None,
        "altered": bool(request and (request.redacted or request.truncated)),
        "around": {name: links.call(found) for name, found in facts.around.items() if found},
        "place": facts.place,
        "conversation_link": f"{links.conversation(str(row['conversation_id']), -(-facts.place[0] // PAGE_CALLS))}#call-{facts.place[0]}",
        "original": _original(facts, links),
        "replays": [
            {**replay, "call": links.call(str(replay["id"])), "diff": links.diff(call_id, str(replay["id"]))} for replay in facts.replays
        ],
        "all_link": f"{links.call(call_id)}?messages=all#messages",
        "error": clipped(row.get("error"), ERROR_CHARACTERS),
        "duration": duration,
        "when": when,
    }


TILES: tuple[Fact, ...] = (
    Fact("duration", "duration_ms"),
    Fact("first content", "ttft_ms"),
    Fact("input tokens", "input_tokens"),
    Fact("of them cached", "cache_read_tokens"),
    Fact("written to cache", "cache_write_tokens"),
    Fact("output tokens", "output_tokens"),
    Fact("of them reasoning", "reasoning_tokens"),
    Fact("tokens are", "tokens_source"),
    Fact("cost", "cost_usd"),
    Fact("cost is", "cost_source"),
)
DETAILS: tuple[Fact, ...] = (
    Fact("started", "started_at"),
    Fact("client", "client"),
    Fact("project", "project"),
    Fact("tag", "tag"),
    Fact("user agent", "user_agent"),
    Fact("asked", "method"),
    Fact("host", "host"),
    Fact("path", "path"),
    Fact("api", "api"),
    Fact("provider", "provider"),
    Fact("upstream", "upstream"),
    Fact("model asked for", "model"),
    Fact("model sent", "served_model"),
    Fact("model that answered", "response_model"),
    Fact("key", "key_hint"),
    Fact("streamed", "stream"),
    Fact("finish reason", "finish_reason"),
    Fact("messages", "n_messages"),
    Fact("tool calls", "n_tool_calls"),
    Fact("request", "request_bytes"),
    Fact("response", "response_bytes"),
    Fact("stored", "stored_at"),
)


def _curl(row: Mapping[str, Any], request: BodyFacts | None) -> Curl | None:
    if request is None:
        return curl_of(row, (), None)
    return curl_of({**row, "request_bytes": request.stored_bytes}, request.headers, request.content)


def _original(facts: CallFacts, links: Links) -> dict[str, Any] | None:
    original = facts.row.get("replay_of")
    if not original:
        return None
    kept = facts.original_kept
    here = str(facts.row["id"])
    return {"id": original, "call": links.call(original) if kept else None, "diff": links.diff(original, here) if kept else None}


def _image_source(facts: CallFacts, links: Links) -> Any:
    """Addresses of images that can be shown. In a body that is at hand they are looked for first: nothing is linked that is not there."""
    call_id = str(facts.row["id"])
    there = {"request": _images_there(facts, "request", facts.asked), "response": _images_there(facts, "response", facts.answered)}

    def source(side: Side, number: int, part: Part) -> Picture | None:
        body, known = facts.bodies.get(side), there[side]
        content = known[number] if known is not None else None
        if body is None or body.problem or body.truncated or not is_shown(part) or (known is not None and content is None):
            return None
        return Picture(links.image(call_id, side, number), pixels(content) if content else None)

    return source


def _images_there(facts: CallFacts, side: Side, messages: Sequence[Message]) -> list[bytes | None] | None:
    """The images of a side out of its body (None for one that is not there); None where the body is not at hand."""
    body = facts.bodies.get(side)
    if body is None or body.content is None:
        return None
    parts = [part for message in messages for part in message.parts if part.kind == "image"]
    found = find_images(body.content, header(body.headers, "content-type"), parts)
    decoded = (image.decoded() if image else None for image in found)
    return [image[0] if image else None for image in decoded]


def _omitted(asked: Sequence[Message]) -> range:
    """The positions left out of a very long history: after its system messages, up to the last SHOWN_MESSAGES."""
    start = next((number for number, message in enumerate(asked) if message.role != "system"), len(asked))
    return range(start, max(start, len(asked) - SHOWN_MESSAGES))


def history_end(messages: Sequence[SaidMessage], new_from: int | None) -> int:
    """How many of `messages` are history, which the call before this one had too; 0 where nothing is worth folding.

    A tool call belongs to the new ones where its results are new, since they are shown beside it.
    """
    if new_from is None:
        return 0
    end = next((number for number, message in enumerate(messages) if message.position >= new_from), len(messages))
    while 0 < end < len(messages) and messages[end].nested:
        end -= 1
    return end if end > 2 else 0


def read_decision(decision: object) -> dict[str, Any] | None:
    """The `decision` column as rows: the candidates in their order, why each was passed over, and what else is told of them.

    `{"raw": text}` for what has another form; None for nothing.
    """
    if not isinstance(decision, str) or not decision:
        return None
    try:
        listed = parse_json(decision)
    except (ValueError, RecursionError):  # shown as it is
        return {"raw": clipped(decision, ERROR_CHARACTERS)}
    if not isinstance(listed, list) or not all(isinstance(candidate, dict) for candidate in listed):
        return {"raw": clipped(indent_json(decision) or decision, ERROR_CHARACTERS)}
    return {"candidates": [_candidate(candidate) for candidate in listed]}


def _candidate(told: Mapping[str, Any]) -> dict[str, Any]:
    known = ("upstream", "model", "passed_over", "unknown")
    measures = ", ".join(f"{clipped(name).replace('_', ' ')}: {value_of(value, name)}" for name, value in told.items() if name not in known)
    unknown = told.get("unknown")
    return {
        "upstream": value_of(told.get("upstream"), "upstream"),
        "model": "as asked" if told.get("model") is None else clipped(str(told["model"])),
        "passed_over": clipped(told.get("passed_over")),
        "measures": measures,
        "unknown": clipped(", ".join(map(str, unknown)) if isinstance(unknown, list) else unknown),
    }


def _missing_parts(facts: CallFacts) -> list[str]:
    """What the page would show and cannot, in whole sentences."""
    told = []
    request = facts.bodies.get("request")
    if facts.row.get("error_type") == "digest_failed":
        told.append("The bodies of this call could not be read when it was stored: only its plain facts were kept.")
    elif not facts.bodies:
        told.append("The bodies and messages of this call are not stored (capture.bodies is false, or they were pruned).")
    elif not facts.asked and not facts.answered and not facts.problems:
        told.append("No messages were read from this call: its API has none, or its body is in a form that is not known here.")
    for kind, body in facts.bodies.items():
        if body.problem:
            told.append(f"Damaged: {body.problem}.")
        elif body.truncated:
            told.append(f"The {kind} body was cut when it was stored (capture.max_body): its end, and messages in it, are missing.")
    if request and request.redacted:
        told.append("Secrets in the request are masked here.")
    return told


def _body_section(facts: CallFacts, kind: str, links: Links) -> dict[str, Any]:
    body = facts.bodies.get(kind)
    call_id = str(facts.row["id"])
    if body is None:
        return {"kind": kind, "stored": False, "view": None}
    shown: BodyView | None = None if body.content is None else view(body.content, header(body.headers, "content-type"))
    return {
        "kind": kind,
        "stored": True,
        "headers": [(clipped(name), clipped(value)) for name, value in body.headers],
        "encoding": clipped(body.encoding),
        "size": value_of(body.size, "wire_bytes"),
        "stored_size": value_of(body.stored_bytes, "stored_bytes"),
        "truncated": body.truncated,
        "redacted": body.redacted,
        "problem": body.problem,
        "empty": body.stored_bytes == 0 and not body.problem,
        "view": shown,
        "link": None if body.problem else links.body(call_id, kind),
        "pretty_link": None if body.problem else links.body(call_id, kind, "pretty"),
    }
