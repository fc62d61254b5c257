"""An answer while it is being put together, whatever dialect it comes in: the part of a reader that every dialect shares.

A dialect's subclass of `AnswerDraft` gets each event's JSON (`on_event`) or the whole body (`on_body`) and notes what it says;
`reading()` is the result. The message reads the same whether it was streamed or came whole.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from addons.core.call import AnswerReading, Headers, Message, Part, PartKind, Usage
from addons.core.dialects.errors import error_of
from addons.core.jsonvalues import compact_text, label, parse, text

DONE = b"[DONE]"
NO_USAGE = Usage()


@dataclass(slots=True)
class PartDraft:
    """One part, growing. `data` is given as it is; `pieces` are joined at the end."""

    kind: PartKind
    pieces: list[str] = field(default_factory=list)
    data: dict[str, Any] | None = None

    def part(self) -> Part | None:
        joined = "".join(self.pieces)
        if self.kind == "tool_call":
            return Part("tool_call", compact_text(joined), self.data)
        return Part(self.kind, joined or None, self.data) if joined or self.data else None


class MessageDraft:
    """The parts of one message in the order in which they began."""

    def __init__(self) -> None:
        self._parts: list[PartDraft | Part] = []
        self._keyed: dict[Hashable, PartDraft] = {}

    def add(self, kind: PartKind, piece: str) -> None:
        """Text that goes on where text of the same kind was, or begins a part."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, PartDraft) and last.kind == kind and last.data is None:
            last.pieces.append(piece)
        else:
            self._parts.append(PartDraft(kind, [piece]))

    def keyed(self, key: Hashable, kind: PartKind) -> PartDraft:
        """The part that the stream calls `key` (an index, an id), begun if it is new."""
        found = self._keyed.get(key)
        if found is None:
            found = self._keyed[key] = PartDraft(kind)
            self._parts.append(found)
        return found

    def put(self, parts: list[Part]) -> None:
        self._parts.extend(parts)

    def parts(self) -> tuple[Part, ...]:
        made = [part.part() if isinstance(part, PartDraft) else part for part in self._parts]
        return tuple([part for part in made if part is not None])

    def __bool__(self) -> bool:
        return bool(self._parts)


class AnswerDraft:
    """What is known of an answer so far. `choices` are its messages by index (n > 1 gives several)."""

    lines: ClassVar[bool] = False  # is `{` the start of JSON lines rather than of one JSON value?
    array: ClassVar[bool] = False  # is `[` the start of a streamed array of events?
    tail_keys: ClassVar[tuple[str, ...]] = ("usage", "model")  # looked for in the end of a whole body whose middle is missing

    def __init__(self) -> None:
        self.usage = NO_USAGE
        self.model: str | None = None
        self.id: str | None = None
        self.finish_reason: str | None = None
        self.error_type: str | None = None
        self.error: str | None = None
        self.finished = False
        self.choices: dict[int, MessageDraft] = {}

    def take(self, name: str, data: bytes) -> None:
        """One event as it came: its SSE name ("" without one) and its bytes."""
        value = None if data == DONE else parse(data)
        if isinstance(value, dict):
            self.on_event(name, value)
        elif data.strip() == DONE:
            self.finished = True

    def on_headers(self, headers: Headers) -> None:
        """What the answer's headers say, before anything of its body."""

    def on_failure(self, name: str, payload: bytes) -> None:
        """A frame of AWS's that is an exception in place of an event; `name` is its type."""
        value = parse(payload)
        self.error_type = self.error_type or name or text(value, "__type")
        self.error = self.error or text(value, "message") or text(value, "Message")

    def on_event(self, name: str, value: dict[str, Any]) -> None:
        """What one event of a stream says."""
        self.on_error(value)

    def on_body(self, value: dict[str, Any]) -> None:
        """What a whole answer says (or the parts of one that is cut)."""
        self.on_event("", value)

    def relevant(self, content: bytes) -> bytes:
        """The part of a whole JSON body that is worth parsing; overridden where most of it is not."""
        return content

    def on_end(self) -> None:
        """Called once, when no more will come."""

    def on_error(self, value: dict[str, Any]) -> None:
        if not value.get("error") and value.get("type") != "error":
            return
        kind, message = error_of(value)
        if message or kind:
            self.error_type, self.error = self.error_type or kind, self.error or message

    def on_model(self, value: dict[str, Any], key: str = "model") -> None:
        if self.model is None:
            self.model = text(value, key)

    def on_id(self, value: dict[str, Any]) -> None:
        if self.id is None:
            self.id = text(value, "id")

    def on_finish(self, value: dict[str, Any], key: str) -> None:
        self.finish_reason = label(value, key) or self.finish_reason

    def message(self, index: int = 0) -> MessageDraft:
        found = self.choices.get(index)
        if found is None:
            found = self.choices[index] = MessageDraft()
        return found

    @property
    def has_content(self) -> bool:
        return any(self.choices.values())

    def reading(self, first_content: int | None) -> AnswerReading:
        drafts = [self.choices[index].parts() for index in sorted(self.choices)]
        return AnswerReading(
            usage=self.usage,
            model=self.model,
            id=self.id,
            finish_reason=self.finish_reason,
            messages=tuple([Message("assistant", parts) for parts in drafts if parts]),
            error_type=self.error_type,
            error=self.error,
            finished=self.finished,
            first_content=first_content,
        )
