"""Between a flow and the plain values of `core/attempt.py`: the client's request out of it, an attempt into it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from mitmproxy import http
from mitmproxy.net.http import url

from addons.config import Config, Upstream
from addons.core.addressing import is_this_machine
from addons.core.attempt import Request, Target
from addons.core.dialects.hosts import provider_of
from addons.core.encodings import UndecodableBody, decode
from addons.core.memo import Memo
from addons.core.redaction.outgoing import Restore
from addons.core.redaction.restore_text import Restorable
from addons.core.redaction.restoring import restore_body
from addons.wireheaders import make_headers, wire_bytes, with_value


class Destination(NamedTuple):
    """What all attempts on an upstream under one model name have in common. `limits` and `whole_limits` as TIMEOUTS has them."""

    target: Target
    limits: tuple[float, float, float]
    whole_limits: tuple[float, float, float]
    drains: bool


class Destinations(Memo[tuple[str, str | None, str], Destination]):
    """Those of one configuration, by upstream, model name that is put in, and, for upstreams that have no address of their own, the host
    that the client asked for."""

    def __init__(self, config: Config) -> None:
        super().__init__(self._look_at)
        self.config = config

    def _look_at(self, asked: tuple[str, str | None, str]) -> Destination:
        name, model, host = asked
        upstream = self.config.upstreams[name]
        target = Target(upstream.provider, upstream.base_url, model, asks_usage(upstream, host))
        times = upstream.timeout
        limits = (times.connect, times.first_byte, times.idle), (times.connect, times.first_byte_whole, times.idle)
        return Destination(target, *limits, upstream.on_disconnect == "drain")


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
