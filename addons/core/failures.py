"""What a failed attempt is called, and what comes of it (DESIGN §5).

`HANDLING` is the table of what happens, `BY_STATUS` and `SIGNS` (`core/refusal_signs.py`) those of what is taken for what. How long a
provider asks to wait is read in `core/waits.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from addons.core.call import FailureClass
from addons.core.dialects.errors import status_error
from addons.core.jsonvalues import obj, parse, parse_cut
from addons.core.refusal_signs import meaning
from addons.core.refusals import STREAM, WHOLE_KEY, Refusal, plain, read_refusal, window_of
from addons.core.waits import limits_in, named_wait, reset_wait

FIRST_CLIENT_ERROR, FIRST_SERVER_ERROR = 400, 500

MAX_ERROR_BYTES = 32 * 1024
"""As much of an error body is read; what tells the class stands at its beginning."""


@dataclass(frozen=True, slots=True)
class Handling:
    """What happens after a failure of a class. Times in seconds.

    `named_wait_s` a wait that the answer names is waited for, with the same key, if it is not longer
    `cools`        what must not be used meanwhile: the key for the failure's group (else the model), or the key for everything
    `cool_s`       for how long where the answer names no time; None: the pool's own escalation. `doubles`: each time in a row
    `backoff_s`    the same upstream is tried again after these, ± jitter
    `then`         where the next try goes
    """

    named_wait_s: float = 0.0
    cools: Literal["nothing", "model", "key"] = "nothing"
    cool_s: float | None = None
    doubles: bool = False
    backoff_s: tuple[float, ...] = ()
    then: Literal["key", "upstream", "client"] = "client"
    trips_breaker: bool = False


_UNWELL = Handling(named_wait_s=10.0, backoff_s=(1.0, 2.0), then="upstream", trips_breaker=True)
_AWAY = Handling(then="upstream", trips_breaker=True)
_FINAL = Handling()

HANDLING: Mapping[FailureClass, Handling] = {
    "rate_limit": Handling(named_wait_s=10.0, cools="model", then="key"),
    "quota": Handling(cools="model", cool_s=3600.0, then="key"),
    "auth": Handling(cools="key", cool_s=300.0, doubles=True, then="key"),
    "overloaded": _UNWELL,
    "server": _UNWELL,
    "connect": _AWAY,
    "timeout": _AWAY,
    "request": _FINAL,
    "stream": _FINAL,
}

BY_STATUS: Mapping[int, FailureClass] = {
    400: "request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "request",
    408: "timeout",  # the upstream's own (OpenRouter, Bedrock's ModelTimeoutException)
    413: "request",
    421: "connect",  # misdirected: another connection may do (RFC 9110 §15.5.20)
    422: "request",
    424: "server",  # Bedrock: ModelErrorException
    425: "overloaded",  # too early: once more, later (RFC 8470)
    429: "rate_limit",
    498: "overloaded",  # Groq: flex tier capacity exceeded
    499: "server",  # an upstream that gave up on us (Google's CANCELLED); the client did not
    500: "server",
    501: "request",  # not supported: asking again, or counting it against the upstream, changes nothing
    502: "server",
    503: "overloaded",
    504: "server",
    505: "request",
    521: "connect",  # Cloudflare could not reach the provider
    522: "timeout",
    523: "connect",
    524: "timeout",
    525: "connect",
    526: "connect",
    529: "overloaded",  # Anthropic: overloaded_error
}
"""Of what is not listed, 4xx is `request` (409, 451 …) and 5xx `server`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt. `wait_s`: the seconds that the answer names, if waiting is of any use; `group`: what the limit is on, None for
    the model that was asked for, "*" for the whole key. `text` is what a person reads; the caller masks it."""

    kind: FailureClass
    status: int | None = None
    wait_s: float | None = None
    group: str | None = None
    text: str = ""


WAITING_HELPS = frozenset({"rate_limit", "quota", "overloaded", "server"})


def failure_of(status: int) -> FailureClass | None:
    """The class of a response's status; None for an answer that is no failure."""
    if status < FIRST_CLIENT_ERROR:
        return None
    return BY_STATUS.get(status, "request" if status < FIRST_SERVER_ERROR else "server")


def classify(status: int, headers: Iterable[tuple[str, str]], body: bytes, now: float) -> Failure | None:
    """What an answer means; None below 400. `body` is content-decoded and may be cut, `now` Unix time in seconds. Never raises."""
    if failure_of(status) is None:
        return None
    pairs = tuple((name.lower(), value) for name, value in headers)
    body = body[:MAX_ERROR_BYTES]
    value = _error_value(body)
    message = status_error(value, body)[1] or ""
    kind, group = _meant(read_refusal(status, pairs, value, message))
    return Failure(kind, status, _wait(kind, pairs, value, message, now), group, message)


def stream_error(error_type: str | None, error: str | None) -> Failure:
    """An error event before the first content, by its type and message.

    `overloaded`, unless it plainly says something else. Providers begin to stream once a call is admitted, so what they send
    then is nearly always their own trouble: Anthropic `overloaded_error` and `api_error`, OpenAI `server_error`, Gemini `UNAVAILABLE` and
    `INTERNAL`, Bedrock `internalServerException`. But OpenAI's responses also say `insufficient_quota`, `rate_limit_exceeded` and
    `context_length_exceeded` so, and OpenRouter passes its upstream's status on as a number: for these another try
    with the same key, or any other, would be wrong in the same way as after the status.
    """
    kind, message = (error_type or "").strip(), error or ""
    status = int(kind) if len(kind) == 3 and kind.isascii() and kind.isdigit() else STREAM
    meant, group = _meant(_told(status, kind, message))
    if meant not in ("rate_limit", "quota", "auth", "request"):
        meant, group = "overloaded", None
    return Failure(meant, None, _wait(meant, (), None, message, None), group, message)


def failure_told(by_status: FailureClass | None, outcome: str, error: str) -> FailureClass | None:
    """The class with the answer read, for rows: `error` is its error's type and text, `outcome` how the call ended.

    A spent quota comes with 429 or 403; an SSE error before the first content, or after it, with 200.
    """
    kind, _, message = error.partition(" ")
    if by_status in ("rate_limit", "auth"):
        told, _ = _meant(_told(429, kind, message))
        return "quota" if told == "quota" else by_status
    if by_status is not None or outcome not in ("error", "partial"):
        return by_status
    if outcome == "partial":
        return "stream"
    return None if error == "None None" else stream_error(kind, message).kind


def _error_value(body: bytes) -> Any:
    """The JSON of an error body, also of a cut one; Gemini's array streams wrap theirs in a list."""
    value = parse(body)
    if value is None:
        value = parse_cut(body)
    return value[0] if isinstance(value, list) and value else value


def _told(status: int | None, kind: str, message: str) -> Refusal:
    """What only type and message are known of."""
    said = plain(message)
    return Refusal(status, frozenset({kind.lower()}), said, window_of([said]))


def _meant(said: Refusal) -> tuple[FailureClass, str | None]:
    """Class and group: by the signs, else by the status. What a limit is on matters only where a key cools."""
    by_status = (failure_of(said.status) if said.status is not STREAM else None) or "overloaded"
    kind, group = meaning(said) or (by_status, WHOLE_KEY if by_status == "quota" else said.group)
    return kind, group if kind in ("rate_limit", "quota") else None


def _wait(kind: FailureClass, headers: Sequence[tuple[str, str]], value: Any, message: str, now: float | None) -> float | None:
    """The wait that is named, where waiting is of any use. Headers that OpenRouter puts into the body are read as headers."""
    if kind not in WAITING_HELPS:
        return None
    wait_s = named_wait(headers, value, message, now)
    if wait_s is None and now is not None and kind in ("rate_limit", "quota"):
        inner = obj(value, "error", "metadata", "headers").items()
        limits = limits_in([*headers, *((name.lower(), text) for name, text in inner if isinstance(text, str))], now)
        wait_s = reset_wait(limits, spent_only=kind == "quota")
    return None if kind == "quota" and wait_s == 0 else wait_s  # a quota that is back at once is not: nothing is known of when
