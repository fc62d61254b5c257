"""Conversations as clients have them: a history that grows, streams, images, failed tries; as the digest would give them.

conversation(number) -> the calls of one conversation, the same ones whenever it is asked for
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from addons.core.call import AttemptRecord, FailureClass, Message, Part, RedactionNote, SqlValue, StoredBody, StoredCall
from addons.core.ids import RANDOM_BYTES, ulid
from addons.storage.values import iso_time, json_text
from scripts.generating.words import Words

DAY_MS = 86_400_000
TURN_S = 40.0
"""Between two calls of a conversation, on average."""

TEXT_BYTES = 1000
"""Text that is new with each call, and so is indexed: half of it asked, half of it answered."""

OVERHEAD_BYTES = 3_000
"""What is stored of a call's bodies besides its payload, on average: JSON, stream events, the text itself, packed."""

PACKED = 0.76
"""What zstd leaves of random bytes in base 64: images, encrypted reasoning."""

EXCERPT_CHARACTERS = 300


class Service(NamedTuple):
    """A model as a client reaches it; prices in US dollars per million tokens."""

    weight: int
    provider: str
    api: str
    host: str
    path: str
    model: str
    input_usd: float
    output_usd: float


_CHAT, _MESSAGES = "/v1/chat/completions", "/v1/messages"
SERVICES = (
    Service(26, "anthropic", "anthropic.messages", "api.anthropic.com", _MESSAGES, "claude-sonnet-4-5", 3, 15),
    Service(14, "anthropic", "anthropic.messages", "api.anthropic.com", _MESSAGES, "claude-haiku-4-5", 1, 5),
    Service(4, "anthropic", "anthropic.messages", "api.anthropic.com", _MESSAGES, "claude-opus-4-1", 15, 75),
    Service(16, "openai", "openai.chat", "api.openai.com", _CHAT, "gpt-4o-mini", 0.15, 0.6),
    Service(12, "openai", "openai.chat", "api.openai.com", _CHAT, "gpt-4.1", 2, 8),
    Service(9, "gemini", "gemini.generate", "generativelanguage.googleapis.com", "/v1beta/models/x", "gemini-2.5-flash", 0.3, 2.5),
    Service(6, "openrouter", "openai.chat", "openrouter.ai", "/api/v1/chat/completions", "deepseek/deepseek-chat", 0.3, 0.9),
    Service(5, "mistral", "openai.chat", "api.mistral.ai", _CHAT, "mistral-large-latest", 2, 6),
    Service(4, "ollama", "ollama.chat", "127.0.0.1", "/api/chat", "llama3.2", 0, 0),
    Service(4, "openai", "openai.embeddings", "api.openai.com", "/v1/embeddings", "text-embedding-3-small", 0.02, 0),
)
CLIENTS = (("claude-cli", 34), ("codex", 14), ("my-agent", 12), ("aider", 9), ("openai-python", 15), ("nightly-eval", 10), ("curl", 2))
PROJECTS = (None, None, "search", "billing", "support", "docs")
TAGS = (None, None, None, "eval", "batch")
ENDS: tuple[tuple[int, str, int | None, str | None], ...] = (
    (930, "ok", 200, None),
    (12, "error", 429, "rate_limit_error"),
    (8, "error", 500, "server_error"),
    (8, "error", 529, "overloaded_error"),
    (12, "error", 400, "invalid_request_error"),
    (3, "error", 502, "upstream_unreachable"),
    (10, "partial", 200, "stream"),
    (15, "cancelled", 200, None),
    (2, "blocked", 403, "secret_blocked"),
)
"""Weight, outcome, status, error_type."""

FAILURES: tuple[tuple[FailureClass, int | None], ...] = (("rate_limit", 429), ("overloaded", 529), ("server", 500), ("connect", None))


@dataclass(slots=True)
class _Turns:
    """A conversation as it goes on: what is sent again with every call."""

    id: str
    service: Service
    client: str
    project: str | None
    tag: str | None
    tools: int
    messages: list[Message] = field(default_factory=list)
    wire: list[dict[str, Any]] = field(default_factory=list)


class Traffic:
    """`calls` of them in all, from `until_ms` (Unix time) back over `days`; `body_bytes` of bodies in all, as they are stored."""

    def __init__(self, *, seed: int, calls: int, body_bytes: int, days: float, until_ms: int) -> None:
        self._seed, self._calls, self._days, self._until_ms = seed, calls, days, until_ms
        self._words = Words(seed)
        self._payload_bytes = max(0.0, body_bytes / calls - OVERHEAD_BYTES) / PACKED
        rng = Random(f"{seed}: tools")
        self._tools = [self._tool_definitions(rng, count) for count in (0, 3, 18, 30)]

    def length(self, number: int) -> int:
        """Calls in that conversation: many of one, few long ones."""
        return min(60, math.ceil(Random(f"{self._seed}: length {number}").expovariate(1 / 6)))

    def conversation(self, number: int, first_call: int) -> list[StoredCall]:
        """The calls of one conversation, of which `first_call` is the place in all of the traffic."""
        rng = Random(f"{self._seed}: conversation {number}")
        ts_ms = self._until_ms - int(self._days * DAY_MS * (1 - first_call / self._calls))
        turns = self._opened(rng, ts_ms)
        calls = []
        for _ in range(self.length(number)):
            calls.append(self._call(rng, turns, ts_ms))
            ts_ms = min(ts_ms + int(rng.expovariate(1 / TURN_S) * 1000) + 1, self._until_ms)
        return calls

    def _opened(self, rng: Random, ts_ms: int) -> _Turns:
        service = rng.choices(SERVICES, [service.weight for service in SERVICES])[0]
        client = rng.choices([name for name, _ in CLIENTS], [weight for _, weight in CLIENTS])[0]
        turns = _Turns(
            id=ulid(ts_ms, rng.randbytes(RANDOM_BYTES)),
            service=service,
            client=client,
            project=rng.choice(PROJECTS),
            tag=rng.choice(TAGS),
            tools=rng.randrange(len(self._tools)),
        )
        system = self._words.text(Random(f"{self._seed}: system {client}"), 1500)
        turns.messages.append(Message("system", (Part("text", system),)))
        turns.wire.append({"role": "system", "content": system})
        return turns

    def _call(self, rng: Random, turns: _Turns, ts_ms: int) -> StoredCall:
        _, outcome, status, error_type = rng.choices(ENDS, [end[0] for end in ENDS])[0]
        prompt = self._words.text(rng, int(rng.lognormvariate(0, 0.6) * TEXT_BYTES / 2.4))
        answered = outcome not in {"error", "blocked"}
        answer = self._words.text(rng, int(rng.lognormvariate(0, 0.6) * TEXT_BYTES / 2.4)) if answered else ""
        payload = base64.b64encode(rng.randbytes(int(rng.lognormvariate(-0.32, 0.8) * self._payload_bytes * 3 / 4))).decode()
        image = rng.random() < 0.5
        request, asked = _request(turns, prompt, payload if image else "", self._tools[turns.tools])
        stream = turns.service.api != "openai.embeddings" and rng.random() < 0.7
        spare = "" if image else payload
        response = _stream(answer, spare) if stream and answered else _whole(answer, spare, error_type)
        said = (Message("assistant", (Part("text", answer),)),) if answered else ()
        row = self._row(
            rng, turns, ts_ms, end=(outcome, status, error_type), texts=(prompt, answer), bodies=(request, response), stream=stream
        )
        attempts = _attempts(rng, row)
        notes = (RedactionNote("generic-api-key", "request.body", "mask"),) if rng.random() < 0.02 else ()
        deltas = tuple(round(rng.expovariate(1 / 25), 3) for _ in range(len(answer) // 6 + 2)) if stream and answered else ()
        row |= {"attempts": len(attempts), "redactions": len(notes), "n_messages": len(asked)}
        if answered:
            turns.messages = [*asked, *said]
            turns.wire += [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        bodies = (_body("request", request, bool(notes)), _body("response", response, False))
        return StoredCall(row, attempts, bodies, (*asked, *said), len(said), deltas, notes)

    def _row(
        self,
        rng: Random,
        turns: _Turns,
        ts_ms: int,
        *,
        end: tuple[str, int | None, str | None],
        texts: tuple[str, str],
        bodies: tuple[bytes, bytes],
        stream: bool,
    ) -> dict[str, SqlValue]:
        service, (prompt, answer), (request, response) = turns.service, texts, bodies
        ok = bool(answer)
        tokens_in, tokens_out = 400 + len(request) // 5, len(answer) // 4 + 1
        cached = int(tokens_in * rng.uniform(0.5, 0.95)) if len(turns.wire) > 1 and rng.random() < 0.8 else 0
        ttft = rng.lognormvariate(6.3, 0.6)
        cost = (tokens_in * service.input_usd + tokens_out * service.output_usd) / 1e6
        return {
            "id": turns.id if len(turns.messages) == 1 and ok else ulid(ts_ms, rng.randbytes(RANDOM_BYTES)),
            "started_at": iso_time(ts_ms),
            "ts_ms": ts_ms,
            "conversation_id": turns.id,
            "client": turns.client,
            "project": turns.project,
            "tag": turns.tag,
            "user_agent": f"{turns.client}/1.0",
            "method": "POST",
            "host": service.host,
            "path": service.path,
            "provider": service.provider,
            "upstream": service.provider,
            "api": service.api,
            "model": service.model,
            "served_model": service.model,
            "response_model": service.model if ok else None,
            "stream": int(stream),
            "status": end[1],
            "outcome": end[0],
            "error_type": end[2],
            "error": f"{end[2]}: made up" if end[2] else None,
            "finish_reason": "stop" if end[0] == "ok" else None,
            "input_tokens": tokens_in if ok else None,
            "output_tokens": tokens_out if ok else None,
            "cache_read_tokens": cached if ok else None,
            "tokens_source": "reported" if ok else None,
            "cost_usd": cost if ok else None,
            "cost_source": "priced" if ok else None,
            "key_hint": rng.choice(("a1b2", "c3d4", "e5f6")),
            "n_tool_calls": rng.choice((0, 0, 0, 1, 2)),
            "request_bytes": len(request),
            "response_bytes": len(response),
            "connect_ms": rng.lognormvariate(3.5, 0.4) if rng.random() < 0.2 else None,
            "ttfb_ms": ttft * 0.8,
            "ttft_ms": ttft if ok and stream else None,
            "duration_ms": ttft + rng.lognormvariate(8, 0.8),
            "prompt": prompt[:EXCERPT_CHARACTERS],
            "response": answer[:EXCERPT_CHARACTERS] or None,
        }

    def _tool_definitions(self, rng: Random, count: int) -> list[dict[str, Any]]:
        return [
            {"name": f"tool_{n}", "description": self._words.text(rng, 300), "input_schema": {"type": "object", "properties": {"path": {}}}}
            for n in range(count)
        ]


def _request(turns: _Turns, prompt: str, image: str, tools: list[dict[str, Any]]) -> tuple[bytes, list[Message]]:
    """The body of one more turn and its messages. An image is sent once: clients leave old ones out of their history."""
    content: Any = prompt
    parts = [Part("text", prompt)]
    if image:
        content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}]
        parts.append(Part("image", None, {"media_type": "image/png", "bytes": len(image) * 3 // 4}))
    body = {"model": turns.service.model, "tools": tools, "messages": [*turns.wire, {"role": "user", "content": content}]}
    return json_text(body).encode(), [*turns.messages, Message("user", tuple(parts))]


def _stream(answer: str, encrypted: str) -> bytes:
    events = [f'data: {{"id":"chatcmpl-1","choices":[{{"index":0,"delta":{{"content":{json_text(w)}}}}}]}}\n\n' for w in answer.split()]
    return "".join([*events, f'data: {{"encrypted_content":"{encrypted}"}}\n\n', "data: [DONE]\n\n"]).encode()


def _whole(answer: str, encrypted: str, error_type: str | None) -> bytes:
    if error_type and not answer:
        return json_text({"error": {"type": error_type, "message": "made up"}}).encode()
    return json_text({"choices": [{"message": {"role": "assistant", "content": answer}}], "encrypted_content": encrypted}).encode()


def _body(kind: Any, content: bytes, redacted: bool) -> StoredBody:
    headers = (("Content-Type", "application/json"), ("X-Request-Id", f"req_{len(content):x}"), ("Server", "made-up"))
    return StoredBody(kind, headers, content, None, len(content), False, redacted)


def _attempts(rng: Random, row: dict[str, SqlValue]) -> tuple[AttemptRecord, ...]:
    """One for most; some failed before, and those of a failed call all did."""
    if row["outcome"] == "blocked":
        return ()
    upstream, host, model = str(row["upstream"]), str(row["host"]), str(row["model"])
    tries: list[AttemptRecord] = []
    for _ in range(rng.choices((0, 1, 2), (94, 5, 1))[0]):
        failure, status = rng.choice(FAILURES)
        tries.append(AttemptRecord(len(tries) + 1, upstream, host, model, "a1b2", status, failure, 1000.0, rng.uniform(50, 900)))
    failed: FailureClass | None = None if row["outcome"] in {"ok", "cancelled"} else "stream" if row["outcome"] == "partial" else "server"
    hint = str(row["key_hint"])
    last = AttemptRecord(len(tries) + 1, upstream, host, model, hint, int(row["status"] or 0), failed, 0.0, float(row["duration_ms"] or 0))
    return (*tries, last)
