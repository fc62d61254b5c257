"""Between a flow and the plain values of `core/attempt.py`: the client's request out of it, an attempt into it."""

from __future__ import annotations

from urllib.parse import urlsplit

from mitmproxy import http

from addons.config import Upstream
from addons.core.addressing import is_this_machine
from addons.core.attempt import Request
from addons.core.dialects.hosts import provider_of
from addons.core.encodings import UndecodableBody, decode
from addons.core.redaction.outgoing import Restore
from addons.core.redaction.restore_text import Restorable
from addons.core.redaction.restoring import restore_body


def asks_usage(upstream: Upstream, host: str) -> bool:
    """May this upstream be asked for usage? Where the file does not say so: at the provider's own hosts, which are known to take it,
    and at servers on this machine (Ollama, llama.cpp, vLLM do). Another server may refuse what it does not know."""
    if "ask_usage" in upstream.model_fields_set:
        return upstream.ask_usage
    target = urlsplit(upstream.base_url).hostname or "" if upstream.base_url else host
    return is_this_machine(target) or provider_of(target) == upstream.provider


def plain(request: http.Request, path: str) -> Request:
    """A request as plain values; `path` is the provider's own. The body is the very object, not a copy."""
    body = None if request.stream else request.raw_content
    return Request(request.method, request.scheme, request.host, request.port, path, tuple(request.headers.fields), body)


def apply(flow: http.HTTPFlow, outgoing: Request) -> None:
    """Put an attempt into the flow."""
    request = flow.request
    request.headers = http.Headers(outgoing.headers)
    if outgoing.body is not None and outgoing.body is not request.raw_content:
        request.raw_content = outgoing.body
        if "content-length" in request.headers:
            request.headers["content-length"] = str(len(outgoing.body))
    request.scheme, request.path = outgoing.scheme, outgoing.path
    request.host, request.port = outgoing.host, outgoing.port  # sets the Host header or the authority too


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


def header_map(headers: http.Headers) -> dict[str, str]:
    """Lower-case names and their values, those of one name joined as mitmproxy joins them, in a tenth of the time that its own
    `items` takes."""
    found: dict[str, str] = {}
    for name, value in headers.fields:
        key, text = name.decode("utf-8", "surrogateescape").lower(), value.decode("utf-8", "surrogateescape")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
