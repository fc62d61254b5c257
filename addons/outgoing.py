"""Between a flow and the plain values of `core/attempt.py`: the client's request out of it, an attempt into it."""

from __future__ import annotations

from urllib.parse import urlsplit

from mitmproxy import http
from mitmproxy.net.http import url

from addons.config import Upstream
from addons.core.addressing import is_this_machine
from addons.core.attempt import Request
from addons.core.dialects.hosts import provider_of
from addons.core.encodings import UndecodableBody, decode
from addons.core.memo import Memo
from addons.core.redaction.outgoing import Restore
from addons.core.redaction.restore_text import Restorable
from addons.core.redaction.restoring import restore_body
from addons.wireheaders import make_headers, wire_bytes, with_value


def asks_usage(upstream: Upstream, host: str) -> bool:
    """May this upstream be asked for usage? Where the file does not say so: at the provider's own hosts, which are known to take it,
    and at servers on this machine (Ollama, llama.cpp, vLLM do). Another server may refuse what it does not know."""
    if "ask_usage" in upstream.model_fields_set:
        return upstream.ask_usage
    return _TAKES_USAGE[upstream.provider, upstream.base_url, host]


def _takes_usage(asked: tuple[str, str | None, str]) -> bool:
    provider, base_url, host = asked
    target = urlsplit(base_url).hostname or "" if base_url else host
    return is_this_machine(target) or provider_of(target) == provider


_TAKES_USAGE = Memo[tuple[str, str | None, str], bool](_takes_usage)


def plain(request: http.Request, path: str) -> Request:
    """A request as plain values; `path` is the provider's own. The body is the very object, not a copy."""
    body = None if request.stream else request.raw_content
    return Request(request.method, request.scheme, request.host, request.port, path, tuple(request.headers.fields), body)


def apply(flow: http.HTTPFlow, outgoing: Request) -> None:
    """Put an attempt into the flow: all that mitmproxy's own properties would, each of which looks through the headers anew."""
    data, fields = flow.request.data, outgoing.headers
    if outgoing.body is not None and outgoing.body is not data.content:
        data.content = outgoing.body
        fields = with_value(fields, b"content-length", b"%d" % len(outgoing.body))
    data.scheme, data.path = wire_bytes(outgoing.scheme), wire_bytes(outgoing.path)
    data.host, data.port = outgoing.host, outgoing.port
    authority = _AUTHORITIES[outgoing.scheme, outgoing.host, outgoing.port]
    if data.authority:
        flow.request.authority = authority
    data.headers = make_headers(with_value(fields, b"host", wire_bytes(authority)))


_AUTHORITIES = Memo[tuple[str, str, int], str](lambda address: url.hostport(*address))


def restore_answer(response: http.Response, api: str, pairs: Restorable, mode: Restore) -> None:
    """Put the secrets back into a whole answer: an error may quote the prompt. One that can't be read stays as it came."""
    try:
        body = decode(response.raw_content or b"", response.headers.get("content-encoding"))
    except UndecodableBody:
        return
    restored = restore_body(api, body, pairs, mode)
    if restored is not body:
        response.headers.pop("content-encoding", None)
        response.raw_content = restored
        if "content-length" in response.headers:
            response.headers["content-length"] = str(len(restored))
