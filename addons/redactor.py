"""Asked per attempt: secrets out of what is sent, by that upstream's and client's policy, and back into the answer (DESIGN §1).

Protection fails closed: what can't be read, or goes wrong, is not sent (Failover answers). Bodies that take long to be looked at are
looked at in a thread before the first attempt; what was seen is remembered, so that attempts and the next turn cost little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from hashlib import sha256

from mitmproxy import http

from addons.answers import refuse
from addons.core.attempt import Request, own_credential
from addons.core.redaction.outgoing import Blocked, Cleaned, Policy, Unreadable, clean, plain_body
from addons.exchange import Exchange, exchange_of
from addons.outgoing import apply, plain
from addons.state import State

OFF_LOOP_BYTES = 200_000


class Redactor:
    """Gives back the request that may be sent to an upstream."""

    def __init__(self, state: State) -> None:
        self.state = state

    def policy(self, exchange: Exchange, upstream: str) -> Policy:
        """The upstream's own mode goes before the client's, and that before the general one."""
        config = exchange.config
        outgoing = config.redaction.outgoing
        client = (exchange.record.client or "").lower()  # as SDKs write themselves (`OpenAI`) is not to decide what leaves the house
        by_client = next((mode for glob, mode in outgoing.clients.items() if fnmatchcase(client, glob.lower())), None)
        return Policy(config.upstreams[upstream].redaction.mode or by_client or outgoing.mode, outgoing.restore)

    def clean(self, request: Request, exchange: Exchange, upstream: str, conversation: Callable[[], str]) -> Request:
        """The request as this upstream may see it, noted in the call's record. Raises Blocked and Unreadable."""
        exchange.restore = None
        if not exchange.config.is_protected:
            return request
        policy = self.policy(exchange, upstream)
        if policy.mode == "off":
            return request
        if self.state.outgoing is None:
            raise RuntimeError("outgoing redaction is wanted, and there is no scanner")
        cleaned = self._cleaned(request, policy, exchange, conversation)
        known = exchange.record.redactions
        known += [note for note in cleaned.notes if note not in known]
        exchange.record.secrets = list(dict.fromkeys([*exchange.record.secrets, *cleaned.secrets]))
        if cleaned.restorable:
            exchange.restore = cleaned.restorable, policy.restore
        return cleaned.request

    def _cleaned(self, request: Request, policy: Policy, exchange: Exchange, conversation: Callable[[], str]) -> Cleaned:
        if self.state.outgoing is None:
            raise RuntimeError("there is no scanner")
        record = exchange.record
        own = own_credential(request.headers if exchange.original is None else exchange.original.headers, exchange.path)
        credential = sha256(own.encode("utf-8", "surrogatepass")).hexdigest()
        client = f"{exchange.peer} {record.client or record.user_agent or ''} {credential}"  # whoever else it is, it has its own
        return clean(request, policy, self.state.outgoing, lambda: self.state.placeholders_of(client, conversation()))

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Look at a long body before it is needed; clean a side call, which has one attempt and no answer to be restored."""
        exchange = exchange_of(flow)
        if exchange is None or flow.response or exchange.kind not in ("call", "side") or not exchange.config.is_protected:
            return None
        if exchange.kind == "side":
            self._clean_side_call(flow, exchange)
        elif len(flow.request.raw_content or b"") > OFF_LOOP_BYTES or "content-encoding" in flow.request.headers:
            return self._look_ahead(plain(flow.request, exchange.path))
        return None

    def request_stream(self, flow: http.HTTPFlow) -> None:
        """A side call whose body is not held can't be cleaned."""
        exchange = exchange_of(flow)
        if exchange and exchange.kind == "side" and not flow.response and exchange.config.is_protected:
            self._clean_side_call(flow, exchange)

    async def _look_ahead(self, request: Request) -> None:
        scanner = self.state.outgoing
        if scanner is None:
            return
        try:
            body = await asyncio.to_thread(plain_body, request)
            content_type = next((value.decode("latin-1") for name, value in request.headers if name.lower() == b"content-type"), None)
            await asyncio.to_thread(scanner.find, body, content_type, "request.body")
        except Exception:  # whatever it is, it is met again, and answered, when the attempt is cleaned
            return

    def _clean_side_call(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        if exchange.upstream is None:
            return
        mode = self.policy(exchange, exchange.upstream).mode
        policy = Policy("mask" if mode == "placeholder" else mode)
        if policy.mode == "off":
            return
        try:
            request = plain(flow.request, flow.request.path)
            cleaned = self._cleaned(request, policy, exchange, lambda: exchange.record.id).request
            if cleaned is not request:
                apply(flow, cleaned)
        except Blocked as error:
            refuse(flow, exchange, 403, "secret_blocked", f"Turnpike sent nothing: {error}", rule=error.rule, where=error.where)
        except Unreadable as error:
            refuse(flow, exchange, 413, "body_too_large", f"Turnpike sent nothing: {error}")
        except Exception:  # fails closed: a hook that raises would let it pass
            refuse(flow, exchange, 502, "internal_error", "the proxy could not clean this request; nothing was sent", outcome="error")
