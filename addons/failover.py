"""Sends a call: builds each attempt anew from the client's untouched request, and answers when none came through.

One attempt per call for now: the upstream's own response goes to the client as it came; no answer is 502 or 504.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from mitmproxy import http

from addons.answers import refuse
from addons.config import Upstream
from addons.core.addressing import is_this_machine
from addons.core.attempt import NotSpoken, Request, Target, build
from addons.core.call import AttemptRecord, FailureClass
from addons.core.dialects.hosts import provider_of
from addons.core.encodings import UndecodableBody
from addons.core.providers import Api
from addons.exchange import Exchange, call_of, exchange_of
from addons.keys import Keys
from addons.proxycore.stream import DRAIN, FAILURE
from addons.redactor import Redactor
from addons.routing import Router
from addons.state import State

logger = logging.getLogger(__name__)

TIMED_OUT = ("timed out", "Timeout", "ETIMEDOUT", "Errno 110")


class Failover:
    """The only room that changes a request."""

    def __init__(self, state: State, router: Router, redactor: Redactor, keys: Keys) -> None:
        self.state, self.router, self.redactor, self.keys = state, router, redactor, keys

    def request(self, flow: http.HTTPFlow) -> None:
        """Send a call on its way. Whatever goes wrong in here sends nothing: a hook that raises would (DESIGN §2.1)."""
        exchange = call_of(flow)
        if exchange is None or exchange.api is None or exchange.attempt:
            return  # an attempt: the body was passed on as it came, and has now ended
        try:
            self._send(flow, exchange, exchange.api)
        except Exception as error:  # fails closed; the text may hold what must not be logged, so only its kind is told
            exchange.release_key()
            logger.error("call %s not sent: %s", exchange.record.id, type(error).__name__)
            refuse(flow, exchange, 502, "internal_error", "the proxy could not prepare this call; nothing was sent", outcome="error")

    def request_stream(self, flow: http.HTTPFlow) -> None:
        """The same, the body being passed on as it comes."""
        self.request(flow)

    def _send(self, flow: http.HTTPFlow, exchange: Exchange, api: Api) -> None:
        request = exchange.original = plain(flow.request, exchange.path)
        candidate = self.router.decide(flow, exchange, api, request).chosen
        if candidate is None:
            refuse(flow, exchange, 503, "no_upstream_available", "no candidate of the route can take this call")
            return
        upstream = exchange.config.upstreams[candidate.upstream]
        if upstream.base_url is None and (exchange.base_url_call or exchange.config.upstream_for_host(request.host) is not upstream):
            # the host that the client asked for is another upstream's, and must not be given this one's key
            refuse(flow, exchange, 503, "no_upstream_available", f"upstream {upstream.name!r} has no base_url; set it in the configuration")
            return
        credential, hint = self.keys.credential(exchange, upstream.name, request)
        target = Target(upstream.provider, upstream.base_url, candidate.model, asks_usage(upstream, request.host))
        try:
            outgoing = self.redactor.clean(build(request, api, target, credential), exchange.config, upstream.name)
        except (NotSpoken, UndecodableBody) as error:
            exchange.release_key()
            status, code = (503, "no_upstream_available") if isinstance(error, NotSpoken) else (400, "unreadable_body")
            refuse(flow, exchange, status, code, str(error))
            return
        apply(flow, outgoing)
        exchange.asked_usage = outgoing.asked_usage
        flow.metadata[DRAIN] = upstream.on_disconnect == "drain"
        record = exchange.record
        record.upstream, record.provider, record.served_model, record.key_hint = upstream.name, upstream.provider, outgoing.model, hint
        n = len(record.attempts) + 1
        record.attempts.append(AttemptRecord(n, upstream.name, outgoing.host, outgoing.model, hint))
        exchange.attempt_started = exchange.now_ms()

    def upstream_failed(self, flow: http.HTTPFlow) -> None:
        """No answer came: say so in the client's dialect (502, 504)."""
        exchange = exchange_of(flow)
        if exchange is None or exchange.kind != "call":
            return
        why, _ = self.state.redactor.text(str(flow.metadata.get(FAILURE, "")), "error")  # it may quote what the upstream sent
        failure: FailureClass = "timeout" if any(sign in why for sign in TIMED_OUT) else "connect"
        if exchange.attempt:
            exchange.attempt.failure = failure
        upstream = exchange.record.upstream or exchange.record.host
        if failure == "timeout":
            refuse(flow, exchange, 504, "upstream_timeout", f"{upstream} did not answer in time", outcome="error")
        else:
            refuse(flow, exchange, 502, "upstream_unreachable", f"{upstream} gave no answer: {why}", outcome="error")


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
