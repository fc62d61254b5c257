"""`/-/llm/conversation/<id>`: a whole session once, in order, over the waterfall of its calls.

read_conversation(connection, id, page) ──► ConversationFacts ──► context(facts, links) ──► templates/llm/conversation.html
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any
from urllib.parse import unquote

from datasette.utils.asgi import Response

from addons.core.call import Part
from addons.storage.shortids import conversations_ending
from addons.views.access import absent, missing, page, read
from addons.views.cells import duration, money
from addons.views.conversation_facts import PAGE_CALLS, CallMessages, ConversationFacts, read_conversation
from addons.views.images import is_shown
from addons.views.links import Links
from addons.views.prefixes import Follow, cache_findings
from addons.views.said import SaidMessage, Side, match_results, say_apart
from addons.views.shown import UNKNOWN, Fact, Shown, facts_of, value_of, when
from addons.views.timing import waterfall

SHOWN_CHARACTERS = 6000
"""Of one part; a call's own page shows more."""

CLIP = 60  # of what was given as an id
PAGE_DIGITS = 8
"""Of a page's number; longer ones are no numbers of pages."""

HISTORY = {
    "start": "begins here",
    "continues": "",
    "repeats": "asks the same again",
    "changes": "branches off",
    "rewinds": "goes back in the history",
    "replaces": "a new history in place of the old one (compacted, or another task)",
    "unknown": "no messages are stored",
}
"""`Follow.kind` as people read it."""

TOTALS: tuple[Fact, ...] = (
    Fact("calls", "calls"),
    Fact("not ok", "not_ok"),
    Fact("input tokens", "input_tokens"),
    Fact("of them cached", "cache_read_tokens"),
    Fact("output tokens", "output_tokens"),
    Fact("cost", "cost_usd"),
    Fact("first call", "first_at"),
    Fact("last call", "last_at"),
)


ABOUT: tuple[Fact, ...] = (Fact("client", "client"), Fact("tag", "tag"), Fact("first prompt", "prompt"))


async def conversation_page(datasette: Any, request: Any) -> Response:
    """The page; 404 for a conversation that is not there. An id may be any text: it is decoded here, `/` included."""
    conversation_id = unquote(request.url_vars["conversation_id"]) or request.args.get("id") or ""
    number = request.args.get("page") or "1"
    if not number.isascii() or not number.isdigit() or len(number) > PAGE_DIGITS or int(number) < 1:
        return missing(f"page={number!r} is no page: give a whole number from 1.", 400)
    links = Links(datasette.urls.path)

    def look(connection: sqlite3.Connection) -> ConversationFacts | Sequence[str]:
        return read_conversation(connection, conversation_id, int(number)) or conversations_ending(connection, conversation_id)

    facts = await read(datasette, request, look)
    if isinstance(facts, ConversationFacts):
        return await page(datasette, request, "conversation.html", context(facts, links))
    addresses = [links.conversation(found) for found in facts]
    if len(facts) == 1:
        return Response.redirect(addresses[0])
    short = conversation_id if len(conversation_id) <= CLIP else f"{conversation_id[:CLIP]}…"
    why = "Its calls may have been pruned (capture.keep)."
    told = f"Several conversations end with {short!r}." if facts else f"There is no conversation {short!r} here. {why}"
    title = "Which conversation?" if facts else "No such conversation"
    return await absent(datasette, request, title, told, zip(addresses, facts, strict=True))


def context(facts: ConversationFacts, links: Links) -> dict[str, Any]:
    """The template's values."""
    calls = _calls(facts, links)
    for call, messages in zip(calls, _messages(facts, links), strict=True):
        call["messages"] = messages
    pages = -(-facts.totals["calls"] // PAGE_CALLS)
    number = facts.first // PAGE_CALLS + 1
    return {
        "title": "Conversation",
        "conversation_id": facts.conversation_id,
        "totals": facts_of(facts.totals, TOTALS),
        "about": _about(facts),
        "without_cost": facts.totals["without_cost"],
        "calls": calls,
        "cache_used": cache_used(facts.rows[facts.start :]),
        "misses": [call for call in calls if call["cache"].state == "miss"],
        "changed": [call for call in calls if call["changed_from"] is not None],
        "page": number,
        "pages": pages,
        "earlier": links.conversation(facts.conversation_id, number - 1) if number > 1 else None,
        "later": links.conversation(facts.conversation_id, number + 1) if number < pages else None,
        "first": facts.first + 1,
        "last": facts.first + len(calls),
        "duration": duration,
        "when": when,
    }


def _about(facts: ConversationFacts) -> list[Shown]:
    """Who talked about what, as far as the shown calls tell."""
    rows = facts.rows[facts.start :]
    told = {name: ", ".join(dict.fromkeys(str(row[name]) for row in rows if row[name])) for name in ("client", "tag")}
    first = next((row["prompt"] for row in facts.rows if row["prompt"]), None)
    return [shown for shown in facts_of({**told, "prompt": first}, ABOUT) if shown.exact]


def _calls(facts: ConversationFacts, links: Links) -> list[dict[str, Any]]:
    """A line of the waterfall for each call that is shown."""
    rows = facts.rows[facts.start :]
    bars = waterfall([(row["ts_ms"], row["duration_ms"], row["ttft_ms"]) for row in rows])
    findings = cache_findings(facts.turns, facts.follows)[facts.start :]
    running = running_sums(facts)
    return [
        {
            "number": facts.first + at + 1,
            "anchor": f"call-{facts.first + at + 1}",
            "id": row["id"],
            "link": links.call(str(row["id"])),
            "row": row,
            "model": row["response_model"] or row["served_model"] or row["model"],
            "input": value_of(row["input_tokens"], "input_tokens"),
            "output": value_of(row["output_tokens"], "output_tokens"),
            "cached": value_of(row["cache_read_tokens"], "cache_read_tokens"),
            "cost": value_of(row["cost_usd"], "cost_usd"),
            "duration": value_of(row["duration_ms"], "duration_ms"),
            "first_content": value_of(row["ttft_ms"], "ttft_ms"),
            "bar": bars[at],
            "running": running[at],
            "cache": findings[at],
            "history": _history(facts, facts.follows[facts.start + at], at),
            "changed_from": facts.messages[at].changed_from,
            "hidden": facts.messages[at].hidden,
            "system_changed": facts.follows[facts.start + at].system_changed,
            "before": _before(facts, facts.follows[facts.start + at]),
            "diff": _diff(facts, at, links),
        }
        for at, row in enumerate(rows)
    ]


def cache_used(rows: Sequence[Mapping[str, Any]]) -> bool | None:
    """Was anything read from or written to a prompt cache? None: no call told."""
    told = [tokens for row in rows for tokens in (row["cache_read_tokens"], row["cache_write_tokens"]) if tokens is not None]
    return any(told) if told else None


def running_sums(facts: ConversationFacts) -> list[dict[str, str]]:
    """Cost and tokens up to each shown call, those before the page included. A sum that lacks unknown values begins with `≥`."""
    rows = facts.rows[facts.start :]
    costs = list(accumulate((row["cost_usd"] or 0.0 for row in rows), initial=facts.before["cost_usd"] or 0.0))[1:]
    unknown = list(accumulate((row["cost_usd"] is None for row in rows), initial=facts.before["without_cost"] or 0))[1:]
    made = []
    tokens = {name: facts.before[name] or 0 for name in ("input_tokens", "output_tokens")}
    for at, row in enumerate(rows):
        for name in tokens:
            tokens[name] += row[name] or 0
        none_known = unknown[at] == facts.first + at + 1
        cost = UNKNOWN if none_known else f"{'≥ ' if unknown[at] else ''}{money(costs[at])}"
        made.append({"cost": cost, **{name: value_of(count, name) for name, count in tokens.items()}})
    return made


def _diff(facts: ConversationFacts, at: int, links: Links) -> str | None:
    """Where a call stands beside the one that it goes on from, else the one before it in time."""
    here = facts.start + at
    before = facts.follows[here].before
    other = here - 1 if before is None else before
    return links.diff(str(facts.rows[other]["id"]), str(facts.rows[here]["id"])) if other >= 0 else None


def _before(facts: ConversationFacts, follow: Follow) -> int | None:
    """The number of the call that it goes on from, where that is not the one just before it in time."""
    return None if follow.before is None else facts.first - facts.start + follow.before + 1


def _history(facts: ConversationFacts, follow: Follow, at: int) -> str:
    if follow.kind == "start" and facts.first + at > 0:
        return "begins anew, beside what came before"
    if follow.kind in ("changes", "rewinds"):
        return f"{HISTORY[follow.kind]}: {follow.lost_n} of {follow.lost_n + follow.shared_n} messages are not in it"
    if follow.kind == "repeats" and follow.system_changed:
        return "asks the same under another system prompt"
    return HISTORY[follow.kind]


def _messages(facts: ConversationFacts, links: Links) -> list[list[SaidMessage]]:
    """What each shown call brought, each message once; tool results stand at their calls, also where the next call brought them."""
    seen: set[int] = set()
    per_call = [_said(facts, at, brought, seen, links) for at, brought in enumerate(facts.messages)]
    matched = iter(match_results(message for messages in per_call for message in messages))
    return [[next(matched) for _ in messages] for messages in per_call]


def _said(facts: ConversationFacts, at: int, brought: CallMessages, seen: set[int], links: Links) -> list[SaidMessage]:
    call_id = str(facts.rows[facts.start + at]["id"])
    source = _image_source(facts, call_id, brought.images_before, links)
    systems = say_apart([message for _, message in brought.systems], shown=SHOWN_CHARACTERS)
    asked = say_apart([message for *_, message in brought.asked], image_source=source, shown=SHOWN_CHARACTERS)
    answered = say_apart((), [message for *_, message in brought.answered], image_source=source, shown=SHOWN_CHARACTERS)
    ids: Sequence[tuple[int, int, SaidMessage]] = [
        *((place, found, one) for place, ((found, _), one) in enumerate(zip(brought.systems, systems, strict=True))),
        *((place, found, one) for (place, found, _), one in list(zip(brought.asked, asked, strict=True))[brought.echo :]),
        *((place, found, one) for (place, found, _), one in zip(brought.answered, answered, strict=True)),
    ]
    made = []
    for position, found, one in ids:
        if found not in seen:
            seen.add(found)
            made.append(replace(one, position=position))
    return made


def _image_source(facts: ConversationFacts, call_id: str, before: int, links: Links) -> Any:
    def source(side: Side, number: int, part: Part) -> str | None:
        known = is_shown(part) and (call_id, side) in facts.whole_bodies
        return links.image(call_id, side, number + (before if side == "request" else 0)) if known else None

    return source
