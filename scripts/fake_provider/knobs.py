"""How one answer is to behave: read from headers, from the model's name, or from a table by key.

The later wins: table (for the key, else for `*`) < model name < headers. Settings are plain names and values; `read_knobs` turns
them into `Knobs` and raises `KnobError`, which names the setting, for whatever it cannot read.

    header      X-Fake-Status: 429     X-Fake-Retry-After: 2     X-Fake-Header: X-Any: value     X-Fake-First-Byte: 0.5
    model name  fake:chunks=20,delay=0.2     gpt-4o-mini@fake:echo     (what stands before `@fake:` is the model that answers)
    table       {"sk-…": {"status": 429, "headers": {"Retry-After": "2"}}}
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from scripts.fake_provider.http1 import TOKEN, Headers

Settings = dict[str, Any]

HEADER_PREFIX = "x-fake-"
HEADER_VALUE = re.compile(r"[\t -~\x80-\xff]*")
MODEL_WITH_KNOBS = re.compile(r"^(?:(?P<model>.+)@)?fake:(?P<settings>.*)$")


class KnobError(ValueError):
    """A setting that does not exist or cannot be read; the message names it."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """What may be turned about one answer. Times are seconds, sizes bytes; a chunk is one delta of a stream
    (or one piece of a body that is not a stream, when `chunks` or `cut` is given)."""

    status: int = 200
    error: str | None = None
    """The provider's own error code or type in place of the status's usual one, e.g. `insufficient_quota` (see known_errors.py)."""
    message: str | None = None
    """The error's message."""
    retry_delay: float | None = None
    """When to come again, told by the error's body alone: OpenAI's "Please try again in", Gemini's RetryInfo."""
    headers: Headers = ()
    """Further response headers; `retry_after` is short for one of them."""
    first_byte: float = 0.0
    """Wait before the first byte, headers included."""
    delay: float = 0.0
    """Wait between two chunks."""
    chunks: int | None = None
    cut: int | None = None
    """Close the connection abruptly after so many chunks; 0 is after the headers. With HTTP/2 only the stream is reset."""
    fail_after: int | None = None
    """Say an error in the stream after so many chunks (a shorter stream ends as usual), then close the body properly."""
    size: int | None = None
    """Length of the answer's text."""
    text: str | None = None
    """The answer's text."""
    echo: bool = False
    """The answer's text is that of the last user message."""
    gzip: bool = False
    hang: bool = False
    """Never answer."""
    reset: bool = False
    """Reset the connection (TCP RST) before any byte; with HTTP/2 only the stream."""
    all_streams: bool = False
    """With HTTP/2 a cut or reset takes the connection, and every stream on it."""
    goaway: bool = False
    """Announce with this answer that the connection is to close: `Connection: close`, or GOAWAY after it."""
    drop_after: float | None = None
    """Close the connection so long after this answer without announcing it, if no other request has come meanwhile."""
    stale: bool = False
    """Meet the next request on this connection with a TCP RST before any byte, as a server does that has long closed it."""
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def is_paced(self) -> bool:
        """Must the answer wait, or end in another way than as a whole?"""
        return bool(self.first_byte or self.delay or self.hang or self.reset or self.cut is not None)


def _flag(value: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "": True, "0": False, "false": False, "no": False}
    return words[value.lower()]


def _natural(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(value)
    return number


def _status(value: str) -> int:
    number = int(value)
    if not 200 <= number <= 999:  # below are those that another answer follows
        raise ValueError(value)
    return number


def _seconds(value: str) -> float:
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ValueError(value)
    return number


READERS: dict[str, Callable[[str], object]] = {
    "status": _status,
    "error": str,
    "message": str,
    "retry_delay": _seconds,
    "first_byte": _seconds,
    "delay": _seconds,
    "chunks": _natural,
    "cut": _natural,
    "fail_after": _natural,
    "size": _natural,
    "text": str,
    "echo": _flag,
    "gzip": _flag,
    "hang": _flag,
    "reset": _flag,
    "all_streams": _flag,
    "goaway": _flag,
    "drop_after": _seconds,
    "stale": _flag,
    "cached": _natural,
    "cache_write": _natural,
    "reasoning": _natural,
}
DEFAULT = Knobs()
NAMES = tuple(field.name for field in fields(Knobs))


def read_knobs(settings: Mapping[str, Any]) -> Knobs:
    """Settings by name, values as text or as JSON has them. Raises KnobError."""
    values: dict[str, Any] = {}
    headers: list[tuple[str, str]] = []
    for name, value in settings.items():
        if name == "headers":
            headers += _read_headers(value)
        elif name == "retry_after":
            headers += _read_headers({"Retry-After": value})
        else:
            values[name] = _read_value(name, value)
    return Knobs(headers=tuple(headers), **values) if headers or values else DEFAULT


def _read_value(name: str, value: object) -> object:
    reader = READERS.get(name)
    if reader is None:
        raise KnobError(f"no such knob: {name}; there are {', '.join(sorted((*READERS, 'headers', 'retry_after')))}")
    try:
        return reader(str(value))
    except (KeyError, ValueError) as problem:
        raise KnobError(f"knob {name} cannot be {value!r}") from problem


def _read_headers(value: object) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        pairs = [(str(name), str(text)) for name, text in value.items()]
    elif isinstance(value, list) and all(isinstance(pair, tuple) for pair in value):
        pairs = value
    else:
        raise KnobError(f"knob headers must be an object of names and values, not {value!r}")
    for name, text in pairs:
        if not (TOKEN.fullmatch(name) and HEADER_VALUE.fullmatch(text)):
            raise KnobError(f"knob headers: not a header: {name!r}: {text!r}")
    return pairs


def from_headers(headers: Headers) -> Settings:
    """The settings that the request's `X-Fake-*` headers make (names as received, lower case)."""
    settings: Settings = {}
    extra: list[tuple[str, str]] = []
    for name, value in headers:
        if not name.startswith(HEADER_PREFIX):
            continue
        knob = name.removeprefix(HEADER_PREFIX).replace("-", "_")
        if knob == "header":
            key, colon, text = value.partition(":")
            if not colon:
                raise KnobError(f"X-Fake-Header must be `Name: value`, not {value!r}")
            extra.append((key.strip(), text.strip()))
        else:
            settings[knob] = value
    return settings | {"headers": extra} if extra else settings


def from_model(name: str) -> tuple[str, Settings]:
    """`gpt-4o@fake:chunks=3,echo` → (`gpt-4o`, {"chunks": "3", "echo": ""}); a name without knobs comes back as it is."""
    match = MODEL_WITH_KNOBS.match(name)
    if match is None:
        return name, {}
    pairs = (item.partition("=") for item in match["settings"].split(",") if item)
    return match["model"] or "fake", {knob.strip().replace("-", "_"): value for knob, _, value in pairs}


@dataclass(slots=True)
class _Entry:
    settings: Settings
    times: int | None


class KnobTable:
    """Settings by API key; `*` holds for keys without entries of their own, the empty key for requests without one.

    An entry with `times` is used up after so many requests; then the next one holds. One without `times` replaces all
    that were there for the key.
    """

    def __init__(self, table: Mapping[str, Settings] | None = None) -> None:
        self._entries: dict[str, deque[_Entry]] = {}
        for key, settings in (table or {}).items():
            self.set(key, settings)

    def set(self, key: str, settings: Settings, times: int | None = None) -> None:
        """Raises KnobError when the settings cannot be read, and leaves the table as it was."""
        read_knobs(settings)
        if times is None:
            self._entries[key] = deque([_Entry(settings, None)])
        elif times > 0:
            self._entries.setdefault(key, deque()).append(_Entry(settings, times))
        else:
            raise KnobError(f"times must be at least 1, not {times}")

    def clear(self) -> None:
        self._entries.clear()

    def take(self, key: str) -> Settings:
        """The settings for one request with this key; counts down `times`."""
        if not self._entries:
            return {}
        name = key if self._entries.get(key) else "*"
        queue = self._entries.get(name)
        if not queue:
            return {}
        # A lasting entry at the front is the normal state; those with `times` that came after it go first.
        entry = next((item for item in queue if item.times is not None), queue[0])
        if entry.times is not None:
            entry.times -= 1
            if entry.times == 0:
                queue.remove(entry)
        return entry.settings

    def as_dict(self) -> dict[str, list[dict[str, Any]]]:
        return {key: [{"knobs": item.settings, "times": item.times} for item in queue] for key, queue in self._entries.items()}
