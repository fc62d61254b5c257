"""From a stored call to the request that asks the same again, by base URL. Pure: rows and bodies in, requests out.

What was masked or cut when it was stored is not sent: it would ask something else. Credentials are never stored, so none
is sent either; the proxy puts a key of its pool in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from addons.config import Config
from addons.core.attempt import strip_parameters
from addons.core.call import AnswerReading, Headers, SqlValue, StoredBody
from addons.core.dialects import answer_reader
from addons.core.resending import MASKED, is_sent

Call = Mapping[str, SqlValue]

REPLAY_HEADER = "X-Turnpike-Replay"


class NotSent(ValueError):
    """A call that cannot be asked again as it was; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Resend:
    """The request. `path` begins with the proxy's prefix."""

    method: str
    path: str
    headers: Headers
    body: bytes


def resend_of(call: Call, body: StoredBody | None, config: Config, extra: Headers = ()) -> Resend:
    """The request that asks what `call` asked, with the headers in `extra` added. Raises NotSent."""
    stored: Headers = body.headers if body else ()
    content = _content(call, body)
    if call["status"] == 101 or any(name.lower() == "upgrade" for name, _ in stored):
        raise NotSent("it was a WebSocket")
    return Resend(str(call["method"]), _path(call, stored, config), _headers(str(call["id"]), stored, extra), content)


def _content(call: Call, body: StoredBody | None) -> bytes:
    if body is None:
        if call["request_bytes"]:
            raise NotSent("its request body was not kept (capture.bodies: false)")
        return b""
    if body.truncated:
        raise NotSent(f"its request body was cut when it was stored ({len(body.content)} of {body.size} bytes; capture.max_body)")
    if body.redacted:
        raise NotSent("its request body was masked when it was stored: it held a secret")
    return body.content


def _path(call: Call, stored: Headers, config: Config) -> str:
    """The path below our prefix, under the upstream that the client had named (by host, header or path), so that the same
    routes apply."""
    prefix, path = config.proxy.prefix, str(call["path"])
    by_host = config.upstream_for_host(str(call["host"]))
    named = next((value for name, value in stored if name.lower() == "x-upstream-name"), None) or (by_host.name if by_host else None)
    if by_host is None and path.startswith(f"{prefix}/"):
        path = path[len(prefix) :]
        if path.split("/")[1] in config.upstreams:  # a segment wins over the header
            named = None
    elif named is None:
        named = str(call["upstream"]) if call["upstream"] else None
    clean = _without_masks(path)
    return f"{prefix}/{named}{clean}" if named else f"{prefix}{clean}"


def _without_masks(path: str) -> str:
    """Without credentials in the query. Raises NotSent where the path itself was masked."""
    bare, mark, query = strip_parameters(path).partition("?")
    if MASKED in bare:
        raise NotSent("its path was masked when it was stored")
    kept = [item for item in query.split("&") if MASKED not in item]
    return f"{bare}{mark}{'&'.join(kept)}" if any(kept) else bare


def _headers(call_id: str, stored: Headers, extra: Headers) -> Headers:
    given = {name.lower() for name, _ in extra}
    kept = [(name, value) for name, value in stored if is_sent(name, value) and name.lower() not in given]
    return (*kept, *extra, (REPLAY_HEADER, call_id))


def read_answer(api: str, status: int | None, headers: Sequence[tuple[str, str]], content: bytes) -> AnswerReading:
    """What an answer said."""
    content_type = next((value for name, value in headers if name.lower() == "content-type"), None)
    reader = answer_reader(api, content_type, status)
    reader.feed(content)
    return reader.finish()


def answer_text(reading: AnswerReading) -> str:
    """Its text and tool calls, without ids; an error's message where it failed."""
    parts = [part.text or "" for message in reading.messages for part in message.parts]
    return "\n".join(parts) if parts else (reading.error or "")


def compare(api: str, old: StoredBody | None, old_status: int | None, new: AnswerReading) -> str:
    """`same` or `differs`, `unknown` where the old answer was not kept as it was."""
    if old is None or old.truncated or old.redacted:
        return "unknown"
    before = answer_text(read_answer(api, old_status, old.headers, old.content))
    return "same" if before == answer_text(new) else "differs"
