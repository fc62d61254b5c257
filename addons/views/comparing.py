"""Two calls beside each other: their facts, figures, parameters, messages. Pure; what is not known is None, and stays unknown.

facts(a, b)       what is told in words           parameters(a, b)  fields of the request bodies that differ
figures(a, b)     numbers, change and percent     conversations(…)  messages: those that are equal, and those that are not
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from addons.core.call import Message, Part
from addons.views.cells import duration, money, size
from addons.views.charts import rate_of
from addons.views.difference import Budget, Piece, compare, matches
from addons.views.jsontext import indent_json
from addons.views.shown import when

Call = Mapping[str, Any]

FACTS = (
    "started_at", "client", "project", "tag", "provider", "upstream", "api", "model", "served_model", "response_model", "route",
    "stream", "status", "outcome", "finish_reason", "error_type", "error", "tokens_source", "cost_source", "key_hint", "host", "path",
)  # fmt: skip

SPOKEN = frozenset({"messages", "input", "contents", "prompt", "system", "instructions", "systemInstruction", "system_instruction"})
"""Fields of a request that are shown as messages."""

PARAMETERS_MAX = 100
VALUE_MAX = 500
KEPT = 240
"""Characters of an equal passage that stay on each side of a change; what is between them is folded."""

SHOWN_MAX = 150_000
"""Characters of all pieces of a page, per side; the rest is counted, not shown."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is told in words, or is unknown."""

    name: str
    a: str | None
    b: str | None

    @property
    def differs(self) -> bool:
        return self.a != self.b


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of both calls in words; `change` is b - a with its sign, `percent` is of a. None where one is unknown."""

    name: str
    a: str | None
    b: str | None
    change: str | None
    percent: str | None
    equal: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage as it is shown: text, and how many characters of it are left out in its middle (equal) or at its end."""

    kind: str  # same | changed
    text: str
    left_out: int = 0
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """What stands in the one call and what in the other: a message, or None where one has no such."""

    title_a: str | None
    title_b: str | None
    a: Sequence[Shown]
    b: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Same:
    """A run of equal messages: how many, and the titles of the first ones."""

    count: int
    titles: str


@dataclass(slots=True)
class Page:
    """What a whole page may still compare and show."""

    budget: Budget = field(default_factory=Budget)
    room: int = SHOWN_MAX
    cut: bool = False


def facts(a: Call, b: Call) -> list[Fact]:
    """Of `FACTS` those that one of the calls has."""
    told = (Fact(name, _word(a.get(name), name), _word(b.get(name), name)) for name in FACTS)
    return [fact for fact in told if fact.a is not None or fact.b is not None]


def _word(value: object, name: str) -> str | None:
    return None if value is None else when(value) if name.endswith("_at") else str(value)


def figures(a: Call, b: Call) -> list[Figure]:
    """Of `FIGURES` those that one of the calls has."""
    found = []
    for name, number, words in FIGURES:
        one, other = number(a), number(b)
        if one is not None or other is not None:
            found.append(figure(name, one, other, words))
    return found


def figure(name: str, a: float | None, b: float | None, words: Callable[[float], str]) -> Figure:
    """A row of figures. Percent only of what is more than nothing."""
    change = None if a is None or b is None else b - a
    return Figure(
        name,
        None if a is None else words(a),
        None if b is None else words(b),
        None if change is None else f"{'+' if change > 0 else ''}{words(change)}",
        None if change is None or not a or a < 0 else f"{round(100 * change / a, 1) + 0.0:+,.1f} %",  # + 0.0: there is a -0.0
        change == 0,
    )


def _column(name: str) -> Callable[[Call], float | None]:
    def number(call: Call) -> float | None:
        value = call.get(name)
        return value if isinstance(value, int | float) else None

    return number


def speed(call: Call) -> float | None:
    """Output tokens per second after the first content, as in the view `latency`."""
    return rate_of(*(call.get(name) for name in ("output_tokens", "ttft_ms", "duration_ms")))


def _count(number: float) -> str:
    return f"{number:,}"


def _per_second(number: float) -> str:
    return f"{round(number, 1) + 0.0:,.1f}"


FIGURES: tuple[tuple[str, Callable[[Call], float | None], Callable[[float], str]], ...] = (
    *((name, _column(name), _count) for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")),
    ("reasoning_tokens", _column("reasoning_tokens"), _count),
    ("cost_usd", _column("cost_usd"), money),
    *((name, _column(name), duration) for name in ("connect_ms", "ttfb_ms", "ttft_ms", "duration_ms")),
    ("output tokens per second", speed, _per_second),
    *((name, _column(name), _count) for name in ("attempts", "n_messages", "n_tool_calls", "redactions")),
    *((name, _column(name), size) for name in ("request_bytes", "response_bytes")),
)


def parameters(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Fact]:
    """Fields of two request bodies that differ, by dotted path; what is said in them and equal fields are left out. Tools
    count as one field each, by their names."""
    one, other = dict(_fields(a)), dict(_fields(b))
    names = list(dict.fromkeys((*one, *other)))
    return [Fact(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)][:PARAMETERS_MAX]


def _fields(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in body.items():
        if name in SPOKEN:
            continue
        if name in {"tools", "functions"} and isinstance(value, list):
            yield from _tools(name, value)
        elif isinstance(value, dict) and value:
            yield from ((f"{name}.{inner}", _json(of_it)) for inner, of_it in value.items())
        else:
            yield name, _json(value)


def _tools(field_name: str, tools: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for number, tool in enumerate(tools):
        declared = tool.get("functionDeclarations", tool.get("function_declarations")) if isinstance(tool, dict) else None
        if isinstance(declared, list):
            yield from _tools(field_name, declared)
            continue
        inner = tool.get("function") if isinstance(tool, dict) else None
        holder = inner if isinstance(inner, dict) else tool
        name = holder.get("name") or holder.get("type") if isinstance(holder, dict) else None
        yield f"{field_name}[{name if isinstance(name, str) else number}]", _json(tool)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def clipped(value: str | None) -> str | None:
    """A value short enough for a cell, with what was left out."""
    if value is None or len(value) <= VALUE_MAX:
        return value
    return f"{value[:VALUE_MAX]}… ({len(value) - VALUE_MAX:,} more characters)"


def conversations(a: Sequence[Message], b: Sequence[Message], page: Page) -> list[Pair | Same]:
    """The messages of two calls side by side: runs of equal ones, and what stands in the place of what."""
    texts_a, texts_b = ([f"{message.role}\n{text_of(message)}" for message in messages] for messages in (a, b))
    blocks: list[Pair | Same] = []
    at_a = at_b = 0
    for x, y, n in (*matches(texts_a, texts_b, page.budget), (len(a), len(b), 0)):
        for one, other in zip_longest(a[at_a:x], b[at_b:y]):
            blocks.append(_pair(one, other, page))
        if n:
            blocks.append(Same(n, ", ".join(message.role for message in a[x : x + min(n, 8)]) + (", …" if n > 8 else "")))
        at_a, at_b = x + n, y + n
    return blocks


def _pair(a: Message | None, b: Message | None, page: Page) -> Pair:
    text_a, text_b = (text_of(message) if message else "" for message in (a, b))
    shown_a, shown_b = sides(text_a, text_b, page)
    return Pair(a.role if a else None, b.role if b else None, shown_a, shown_b)


def answers(a: Sequence[Message], b: Sequence[Message], page: Page) -> list[Pair]:
    """What was answered, without tool calls: those have their own place."""
    texts = [[(message.role, text_of(message, calls=False)) for message in messages] for messages in (a, b)]
    told = [[(role, text) for role, text in of_call if text] for of_call in texts]
    return [
        Pair(one and one[0], other and other[0], *sides(one[1] if one else "", other[1] if other else "", page))
        for one, other in zip_longest(*told)
    ]


def tool_calls(a: Sequence[Message], b: Sequence[Message], page: Page) -> list[Pair]:
    """The tool calls of two answers, paired in order within each name."""
    calls_a, calls_b = ([part for message in messages for part in message.parts if part.kind == "tool_call"] for messages in (a, b))
    names_a, names_b = ([_name(part) for part in calls] for calls in (calls_a, calls_b))
    pairs: list[Pair] = []
    at_a = at_b = 0
    for x, y, n in (*matches(names_a, names_b, page.budget), (len(calls_a), len(calls_b), 0)):
        pairs += [_tool_pair(one, None, page) for one in calls_a[at_a:x]]
        pairs += [_tool_pair(None, other, page) for other in calls_b[at_b:y]]
        pairs += [_tool_pair(calls_a[x + step], calls_b[y + step], page) for step in range(n)]
        at_a, at_b = x + n, y + n
    return pairs


def _tool_pair(a: Part | None, b: Part | None, page: Page) -> Pair:
    shown = sides(arguments(a) if a else "", arguments(b) if b else "", page)
    return Pair(_name(a) if a else None, _name(b) if b else None, *shown)


def _name(part: Part) -> str:
    return str((part.data or {}).get("name") or "tool call")


def arguments(part: Part) -> str:
    """The arguments of a tool call, a line for each field: so the order and the blanks of the JSON do not count."""
    given = part.text or "{}"
    return indent_json(given, longest=len(given), indent=1, sort_keys=True) or part.text or ""


def text_of(message: Message, *, calls: bool = True) -> str:
    """A message as one text; what is not plain text says what it is. Without its tool calls where `calls` is false."""
    return "\n".join(_part_text(part) for part in message.parts if calls or part.kind != "tool_call")


def _part_text(part: Part) -> str:
    if part.kind == "text":
        return part.text or ""
    if part.kind == "tool_call":
        return f"[{_name(part)}]\n{arguments(part)}"
    known = {key: value for key, value in (part.data or {}).items() if key != "id"}
    label = f"[{part.kind.replace('_', ' ')}{' ' + _json(known) if known else ''}]"
    return f"{label}\n{part.text}" if part.text else label


def sides(a: str, b: str, page: Page) -> tuple[list[Shown], list[Shown]]:
    """Two texts as they are shown, word by word: equal passages folded, all of it within the page's room."""
    pieces = compare(a, b, page.budget)
    shown_a: list[Shown] = []
    shown_b: list[Shown] = []
    for number, piece in enumerate(pieces):
        first, last = number == 0, number == len(pieces) - 1
        one, other = _shown(piece, piece.a, page, first, last), _shown(piece, piece.b, page, first, last)
        shown_a += one
        shown_b += other
        page.room -= max(sum(len(part.text) + len(part.rest) for part in side) for side in (one, other))
    return shown_a, shown_b


def _shown(piece: Piece, text: str, page: Page, first: bool, last: bool) -> list[Shown]:
    if not text:
        return []
    if piece.same:
        head, tail = (0 if first and not last else KEPT), (0 if last and not first else KEPT)
        left_out = len(text) - head - tail
        if left_out > KEPT:
            return [Shown("same", text[:head], left_out, text[len(text) - tail :] if tail else "")]
    if len(text) > page.room:
        page.cut = True
        return [Shown("same" if piece.same else "changed", text[: max(page.room, 0)], len(text) - max(page.room, 0))]
    return [Shown("same" if piece.same else "changed", text)]
