"""The nouns that rooms hand to each other: plain values, no behaviour.

On the event loop a `CallRecord` is collected (bytes and times, nothing parsed). In the writer's thread it is
digested (`core/digest.py`) into a `StoredCall`, which the store writes without knowing what an LLM is.

    CallRecord ── dialects read ──► RequestReading, AnswerReading
               ── redaction masks, prices ──► StoredCall ──► storage/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from addons.core.frozen import frozen

Headers = tuple[tuple[str, str], ...]
"""Header pairs in the order and case of the wire."""

SqlValue = str | int | float | None

Outcome = Literal["ok", "error", "partial", "cancelled", "blocked"]

FailureClass = Literal["rate_limit", "quota", "auth", "overloaded", "server", "connect", "timeout", "request", "stream"]
"""The classes of DESIGN §5; the words mean the same in code, rows and metrics."""


@frozen
class Usage:
    """Token counts of one answer; None is unknown, never zero.

    `input_tokens` and `output_tokens` are totals: cached tokens are part of the input, reasoning tokens of the
    output, whatever the provider's own convention is. `cache_write_1h_tokens` is the part of `cache_write_tokens`
    that was written with a one hour lifetime (Anthropic prices it apart). `billed_…` are those that are paid where
    they are others (Cohere). `web_searches` the provider made and bills one by one. `cost_usd` is the provider's own figure.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None  # parts of the totals that are priced apart
    output_audio_tokens: int | None = None
    cache_read_audio_tokens: int | None = None
    cost_usd: float | None = None
    billed_input_tokens: int | None = None
    billed_output_tokens: int | None = None
    web_searches: int | None = None

    @property
    def known(self) -> bool:
        """Did the provider report any count?"""
        return self.input_tokens is not None or self.output_tokens is not None


PartKind = Literal["text", "reasoning", "tool_call", "tool_result", "image", "audio", "file", "refusal", "other"]


@frozen
class Part:
    """One piece of a message. `text` is what a person reads; `data` is JSON for the rest.

    tool_call: text = the arguments as JSON text, data = {"id", "name"}; tool_result: text, data = {"id"};
    image/audio/file: data = {"media_type", "bytes" (decoded length), or "url"}, never the content itself.
    """

    kind: PartKind
    text: str | None = None
    data: dict[str, Any] | None = None


@frozen
class Message:
    """One turn: role is system, user, assistant or tool, whatever the dialect calls it (developer → system, model → assistant)."""

    role: str
    parts: tuple[Part, ...]


@frozen
class RequestReading:
    """What a request body says. `session` is the client's own session name where the body holds one (DESIGN §2b), `previous` the
    provider's name of the answer that it goes on from."""

    model: str | None = None
    stream: bool = False
    messages: tuple[Message, ...] = ()
    session: str | None = None
    previous: str | None = None
    tools: int = 0


@frozen
class AnswerReading:
    """What an answer says, whether it came whole or as a stream.

    `finished` is true when the dialect's own end was seen (or the body was whole JSON): a stream that ends without it
    was cut. `first_content` is the index of the fed chunk that held the first content (text, reasoning or tool
    call; not a role, ping or comment), None without any. `error_type`/`error` come from an error body or event. `id` is the
    provider's name of an answer that can be asked for again; `repeated` that this one was counted before, or will be when it is done.
    """

    usage: Usage = Usage()
    model: str | None = None
    finish_reason: str | None = None
    messages: tuple[Message, ...] = ()
    error_type: str | None = None
    error: str | None = None
    finished: bool = False
    first_content: int | None = None
    id: str | None = None
    repeated: bool = False


@dataclass(slots=True)
class AttemptRecord:
    """One try on one upstream. Times in milliseconds."""

    n: int
    upstream: str | None
    host: str
    model: str | None = None
    key_hint: str | None = None
    status: int | None = None
    failure: FailureClass | None = None
    wait_ms: float = 0.0
    duration_ms: float | None = None


@dataclass(slots=True)
class CapturedBody:
    """The bytes of one body as they crossed the wire (still content-encoded), at most `capture.max_body` of them.

    `chunks` holds (milliseconds since the call began, length) for each chunk taken in, in order (what came at once is one); the sum of
    the lengths is `size`, which may be more than `content` holds. `tail` is the last part of a body that was cut, so that
    usage at the end of a long stream is still found. `decoded`: the Content-Encoding that `headers` names is off already
    (what is imported often comes so).
    """

    headers: Headers = ()
    content: bytes = b""
    size: int = 0
    tail: bytes = b""
    chunks: list[tuple[float, int]] = field(default_factory=list)
    decoded: bool = False

    @property
    def truncated(self) -> bool:
        return self.size > len(self.content)


@dataclass(frozen=True, slots=True)
class RedactionNote:
    """That a rule acted somewhere; never the secret. `where` is e.g. `request.body`, `request.header.cookie`."""

    rule: str
    where: str
    action: Literal["mask", "block", "placeholder"]


@dataclass(slots=True)
class CallRecord:
    """Everything the event loop collected of one call; handed to the writer once, when the call has ended."""

    id: str
    started_ms: int  # Unix time in milliseconds
    method: str
    host: str  # as the client asked for it
    path: str  # as the client asked for it, with the query
    api: str  # openai.chat … other (DESIGN §6)
    provider: str | None = None
    upstream: str | None = None
    asked_model: str | None = None  # where it stands in the path (Gemini, Azure); else read from the body
    served_model: str | None = None  # where a route named another one
    client: str | None = None
    project: str | None = None
    tag: str | None = None
    user_agent: str | None = None
    session: str | None = None  # X-Turnpike-Session or the client's own session header
    replay_of: str | None = None
    route: str | None = None
    decision: str | None = None  # JSON
    status: int | None = None
    outcome: Outcome = "ok"
    error_type: str | None = None
    error: str | None = None
    key_hint: str | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)
    redactions: list[RedactionNote] = field(default_factory=list)  # of what was sent
    secrets: list[str] = field(default_factory=list, repr=False)  # that were found in it: not to be stored wherever they stand
    request: CapturedBody = field(default_factory=CapturedBody)
    response: CapturedBody = field(default_factory=CapturedBody)
    connect_ms: float | None = None
    ttfb_ms: float | None = None
    duration_ms: float | None = None


@frozen
class StoredBody:
    """A body as it is stored: content-decoded and masked. `encoding` is the Content-Encoding it had on the wire, `size`
    its length in bytes on the wire, `truncated` whether `content` lacks its end, `redacted` whether `content` was changed."""

    kind: Literal["request", "response"]
    headers: Headers
    content: bytes
    encoding: str | None
    size: int
    truncated: bool
    redacted: bool


@frozen
class StoredCall:
    """What the store writes for one call. `row` has the columns of `calls` (DESIGN §6) apart from `stored_at` and `pinned`.

    `messages` are those of the request followed by those of the answer (`answers` of them).
    """

    row: dict[str, SqlValue]
    attempts: tuple[AttemptRecord, ...] = ()
    bodies: tuple[StoredBody, ...] = ()
    messages: tuple[Message, ...] = ()
    answers: int = 0
    deltas_ms: tuple[float, ...] = ()
    redactions: tuple[RedactionNote, ...] = ()
