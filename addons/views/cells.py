"""One value of the database as a person reads it; what a column holds is told by its name (units stand in names).

    ttft_ms 1234.5      → 1.23 s          cost_usd 0.000123 → $0.000123        started_at → 2026-11-21 10:00:00
    request_bytes 20480 → 20.5 kB         input_tokens 12345 → 12,345          id → a link to the call's page
    error_percent 3.14159 → 3.1 %         span_s 90 → 1 min 30 s               replay_of → a link to the original, and to the difference

The exact value is in the cell's title. Everything that comes out of a capture is escaped: it is other people's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite

from markupsafe import Markup

from addons.core.ids import is_ulid
from addons.views.jsontext import indent_json
from addons.views.links import Links

SHORT_ID = 8  # of a ULID's 26 characters the last ones differ between calls of one moment
LABEL_LENGTH = 40
JSON_PREVIEW = 60
JSON_MAX = 200_000  # longer JSON is left to Datasette, which cuts it
EXCERPT_MAX = 2000  # likewise; the texts of a call have 300 characters, but an error message may be anything

CALL_COLUMNS = frozenset({"id", "call_id"})
OUTCOME_COLUMNS = frozenset({"outcome", "original_outcome"})
JSON_COLUMNS = frozenset({"decision", "headers", "data", "deltas_ms", "segments"})
TEXT_COLUMNS = frozenset({"prompt", "response", "original_response", "first_prompt", "last_response", "error"})
TIME = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})")


def render(value: object, column: str, *, links: Links, row_id: object = None) -> Markup | None:
    """HTML of a cell, None to leave it to Datasette. `value` is as SQLite gives it, or `{"value", "label"}` where Datasette
    put a foreign key's label beside it. `row_id` is the id in the row of a `replay_of`."""
    if value is None or value == "":
        return None
    if column == "replay_of":
        return original_link(value, row_id, links)
    if column in CALL_COLUMNS:
        return call_link(value, links)
    if column == "conversation_id":
        return conversation_link(value, links)
    if column in JSON_COLUMNS:
        return folded_json(value)
    if column in TEXT_COLUMNS:
        return excerpt(value)
    if column in OUTCOME_COLUMNS:
        return Markup('<span class="outcome outcome-{0}">{0}</span>').format(value)
    if column.endswith("_at") and isinstance(value, str):
        return moment(value)
    return number(value, column) if isinstance(value, int | float) else None


def call_link(value: object, links: Links) -> Markup | None:
    """A link to a call: by its label where there is one, else by the end of its id. None for what is no call id."""
    label = value.get("label") if isinstance(value, dict) else None
    call_id = _call_id(value)
    if call_id is None:
        return None
    text = _clip(str(label), LABEL_LENGTH) if label and label != call_id else f"…{call_id[-SHORT_ID:]}"
    return Markup('<a class="call" href="{}" title="{}">{}</a>').format(links.call(call_id), call_id, text)


def original_link(value: object, row_id: object, links: Links) -> Markup | None:
    """A link to the call that was repeated, and one to what differs."""
    original, repeated = call_link(value, links), _call_id(row_id)
    if original is None or repeated is None:
        return original
    html = '{} <a class="difference" href="{}" title="the original and this call side by side">diff</a>'
    return Markup(html).format(original, links.diff(str(_call_id(value)), repeated))


def _call_id(value: object) -> str | None:
    value = value.get("value") if isinstance(value, dict) else value
    return value if isinstance(value, str) and is_ulid(value) else None


def conversation_link(value: object, links: Links) -> Markup | None:
    """A link to a conversation; its id may be any text that a client sent."""
    if not isinstance(value, str):
        return None
    return Markup('<a class="conversation" href="{}" title="{}">…{}</a>').format(links.conversation(value), value, value[-SHORT_ID:])


def folded_json(value: object) -> Markup | None:
    """JSON, indented, folded under its first characters. None for what is not JSON, or is very long."""
    if not isinstance(value, str) or len(value) > JSON_MAX:
        return None
    indented = indent_json(value)
    if indented is None:  # shown as the text that it is
        return None
    return Markup('<details class="json"><summary>{}</summary><pre>{}</pre></details>').format(_clip(value, JSON_PREVIEW), indented)


def excerpt(value: object) -> Markup | None:
    """A text that the style sheet shows two lines of where it is one cell of many; all of it in the title."""
    if not isinstance(value, str) or len(value) > EXCERPT_MAX:
        return None
    return Markup('<div class="excerpt" title="{0}">{0}</div>').format(value)


def moment(value: str) -> Markup | None:
    """ISO 8601 UTC to the second. None for any other text."""
    found = TIME.match(value)
    return found and Markup('<time datetime="{0}" title="{0} (UTC)">{1} {2}</time>').format(value, *found.groups())


def number(value: float, column: str) -> Markup | None:
    """A number by the unit at the end of its column's name; None where the name has none."""
    if column == "ts_ms" or not isfinite(value):  # a moment, kept exact for SQL; and 9e999 is a number in SQL
        return None
    words = next((words for unit, words in UNITS if unit.search(column)), None)
    return words and Markup('<span class="number" title="{}">{}</span>').format(value, words(value))


def duration(ms: float) -> str:
    """Milliseconds as ms, s or min; three digits where it matters."""
    if abs(ms) < 1000:
        return f"{ms:.3g} ms" if abs(ms) < 10 else f"{ms:.0f} ms"
    if abs(ms) < 60_000:
        return f"{ms / 1000:.2f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds:02} s"


def money(usd: float) -> str:
    """US dollars; small amounts keep their digits, since one call costs fractions of a cent."""
    sign, amount = ("-" if usd < 0 else ""), abs(usd)
    if amount >= 1 or amount == 0:
        return f"{sign}${amount:,.2f}"
    digits = 4 if amount >= 0.01 else 6
    return f"{sign}${amount:.{digits}f}" if amount >= 0.000_001 else f"{sign}<$0.000001"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _grouped(count: float) -> str:
    return f"{count:,}" if isinstance(count, int) else f"{count:,.1f}"


UNITS: tuple[tuple[re.Pattern[str], Callable[[float], str]], ...] = (
    (re.compile(r"_ms$"), duration),
    (re.compile(r"_usd$"), money),
    (re.compile(r"_bytes$|^size$"), size),
    (re.compile(r"_percent$"), lambda percent: f"{percent:,.1f} %"),
    (re.compile(r"_tokens$|^tokens_per_s"), _grouped),
    (re.compile(r"_s$"), lambda seconds: duration(seconds * 1000)),
)
"""The end of a column's name → how its numbers are written; the first that fits."""


def _clip(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else f"{flat[:length]}…"
