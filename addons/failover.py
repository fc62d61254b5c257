"""Sends a call: builds each attempt anew from the client's untouched request, and after a failed one decides what is tried next.

    request ──► Router: the candidates ──► Tries (core): which now, with which key ──► build, clean, send
    upstream_failed ──► the failure's class ──► Tries: again, elsewhere, a wait, or an answer (DESIGN §4, §5)
    attempt_due ──► a wait is over

It is the only room that changes a request.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable

from mitmproxy import http

from addons.answers import refuse
from addons.config import Config, Upstream
from addons.core.attempt import NotSpoken, Request, build, content_encoding
from addons.core.call import AttemptRecord, Outcome, RedactionNote
from addons.core.dialects import read_request
from addons.core.encodings import UndecodableBody, decode
from addons.core.failures import Failure, classify, stream_error
from addons.core.inject import keeps_own
from addons.core.peek import BodyFields, peek
from addons.core.providers import Api
from addons.core.redaction.outgoing import Blocked, Unreadable
from addons.core.routing import Decision
from addons.core.tries import Option, Send, Step, Stop, Tries, Wait
from addons.exchange import Exchange, call_of, exchange_of
from addons.keys import Keys
from addons.outgoing import Destination, Destinations, apply, plain, restore_answer
from addons.proxycore.attempts import wake
from addons.proxycore.hooks import AGAIN, CLIENT_LEFT, DRAIN, RETRIES, TIMEOUTS, WAIT, UpstreamFailure
from addons.redactor import Redactor
from addons.routing import Router
from addons.state import State

logger = logging.getLogger(__name__)

FIRST_ERROR_STATUS = 400
WHY = {"auth": "was refused by the provider", "quota": "has spent its quota", "rate_limit": "is rate limited"}
MAX_TOLD = 5


class Failover:
    """Whatever goes wrong in here sends nothing: a hook that raises would let the request pass (DESIGN §2.1)."""

    def __init__(self, state: State, router: Router, redactor: Redactor, keys: Keys) -> None:
        self.state, self.router, self.redactor, self.keys = state, router, redactor, keys
        self._destinations = Destinations(Config())

    def request(self, flow: http.HTTPFlow) -> None:
        """Send a call on its way."""
        exchange = call_of(flow)
        if exchange is None or exchange.api is None or exchange.original:
            return  # no call; or its body was passed on as it came, and has now ended
        api = exchange.api
        self._guarded(flow, exchange, self._begin, flow, exchange, api)

    def request_stream(self, flow: http.HTTPFlow) -> None:
        """The same, the body being passed on as it comes."""
        self.request(flow)

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        """An attempt has failed, and nothing of it has reached the client."""
        exchange = exchange_of(failure.flow)
        if exchange and exchange.kind == "call" and exchange.tries:
            tries = exchange.tries
            self._guarded(failure.flow, exchange, self._after_failure, failure, exchange, tries)

    def attempt_due(self, flow: http.HTTPFlow) -> None:
        """What was waited for has come, or its time is over."""
        exchange = exchange_of(flow)
        if exchange and exchange.tries:
            tries = exchange.tries
            self._guarded(flow, exchange, lambda: self._take(flow, exchange, tries, tries.resume(time.time())))

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """An answer begins. The upstream is well, and its key too; or it refuses a call that can't be sent again."""
        exchange, response = exchange_of(flow), flow.response
        if exchange is None or exchange.tries is None or response is None or response.raw_content is not None:
            return
        if response.status_code >= FIRST_ERROR_STATUS:
            failure = UpstreamFailure(flow, "status", "", response.status_code, response)
            exchange.tries.refused(classified(failure, time.time()), time.time())
            self.state.health_changed()
        elif exchange.attempt and exchange.attempt.failure is None:
            self.state.note_answer(exchange.tries)

    def _guarded[**Given](
        self, flow: http.HTTPFlow, exchange: Exchange, work: Callable[Given, None], *args: Given.args, **more: Given.kwargs
    ) -> None:
        try:
            work(*args, **more)
        except Exception as error:  # fails closed; the text may hold what must not be logged, so only its kind is told
            exchange.close_tries()
            flow.metadata.pop(WAIT, None)
            flow.metadata.pop(AGAIN, None)
            logger.error("call %s not sent: %s", exchange.record.id, type(error).__name__)
            refuse(flow, exchange, 502, "internal_error", "the proxy could not prepare this call; nothing was sent", outcome="error")

    def _begin(self, flow: http.HTTPFlow, exchange: Exchange, api: Api) -> None:
        request = exchange.original = plain(flow.request, exchange.path)
        fields = exchange.fields = BodyFields(request)
        decision = exchange.decision = self.router.decide(flow, exchange, api, request)
        if flow.response:
            return
        exchange.peek = peek(api, request, fields)
        tries = exchange.tries = Tries(
            self._options(exchange, decision, request),
            decision.rules,
            affinity=lambda: self._conversation(exchange, request),
            on_granted=lambda: wake(flow),
            jitter=random.random,
            repeatable=api.name != "other" or request.method in ("GET", "HEAD"),
        )
        if request.body is not None and exchange.read_headers(flow.request).by_name.get("upgrade", "").lower() != "websocket":
            flow.metadata[RETRIES] = exchange.record.api
        self._take(flow, exchange, tries, tries.start(time.time()))

    def _options(self, exchange: Exchange, decision: Decision, request: Request) -> list[Option]:
        """The candidates that may be tried, each with the pool that it draws from."""
        asked, breakers = (exchange.peek and exchange.peek.model) or "", self.state.breakers
        options = []
        for index, candidate in enumerate(decision.candidates):
            if candidate.passed_over is None:
                upstream = candidate.upstream
                pool = self.keys.pool(exchange, upstream, request)
                own = pool is None and keeps_own(exchange.upstream, upstream)
                options.append(Option(index, upstream, candidate.model or asked, pool, breakers[upstream], own))
        return options

    def _conversation(self, exchange: Exchange, request: Request) -> str:
        """The conversation that this call continues, else its own id; found as the digest finds it later (DESIGN §6)."""
        record = exchange.record
        if exchange.conversation is None and record.session:  # it goes before all that the body says, which need not be read
            exchange.conversation = record.session
        if exchange.conversation is None:
            try:
                body = decode(request.body or b"", content_encoding(request.headers))
            except UndecodableBody:
                body = b""
            reading = read_request(record.api, record.path, body)
            client = record.client or record.user_agent
            exchange.conversation = self.state.conversations.find(reading.session, client, reading.messages, reading.previous) or record.id
        return exchange.conversation

    # Steps --------------------------------------------------------------------------------------------------------------

    def _take(self, flow: http.HTTPFlow, exchange: Exchange, tries: Tries, step: Step) -> None:
        """Carry a step out: put the next attempt into the flow, or a wait, or an answer."""
        held, problem = RETRIES in flow.metadata, ""
        while isinstance(step, Send):
            try:
                self._prepare(flow, exchange, step)
                return
            except (Blocked, Unreadable) as error:  # another upstream may be shown more, but to be asked instead is not what was meant
                tries.close(time.time())
                if isinstance(error, Blocked):
                    exchange.record.redactions.append(RedactionNote(error.rule, error.where, "block"))
                    refuse(flow, exchange, 403, "secret_blocked", _not_sent(step, error), rule=error.rule, where=error.where)
                else:
                    refuse(flow, exchange, 413, "body_too_large", _not_sent(step, error))
                if not exchange.record.attempts:  # else it is the last attempt's
                    exchange.record.upstream = step.option.upstream
                return
            except (NotSpoken, UndecodableBody) as error:
                problem = "unreadable_body" if isinstance(error, UndecodableBody) else problem
                step = tries.unusable(str(error), time.time())
        if isinstance(step, Wait) and held:
            flow.metadata[WAIT] = step.seconds
            self.keys.wait(flow, tries)
            return
        tries.close(time.time())
        if isinstance(step, Wait):  # a body that passes as it comes can't wait
            step = Stop("exhausted", 1.0)
        if step.reason == "exhausted":
            self._refuse_exhausted(flow, exchange, step)
        elif problem and step.reason == "unusable":
            refuse(flow, exchange, 400, problem, "; ".join(tries.passed.values()))
        elif step.reason == "unusable":
            never = {"x-should-retry": "false"}  # OpenAI's and Anthropic's SDKs would send it twice more
            refuse(flow, exchange, 503, "no_upstream_available", self._why_none(exchange, tries), headers=never)

    def _prepare(self, flow: http.HTTPFlow, exchange: Exchange, step: Send) -> None:
        """Build the attempt from the client's request, and note it. Raises NotSpoken and UndecodableBody."""
        request, api, decision, tries = exchange.original, exchange.api, exchange.decision, exchange.tries
        if request is None or api is None or decision is None or tries is None:
            raise RuntimeError("an attempt before its call")
        upstream, model = exchange.config.upstreams[step.option.upstream], decision.candidates[step.option.index].model
        if upstream.base_url is None and (exchange.base_url_call or exchange.config.upstream_for_host(request.host) is not upstream):
            # the host that the client asked for is another upstream's, and must not be given this one's key
            raise NotSpoken(f"upstream {upstream.name!r} has no base_url; set it in the configuration")
        credential, hint = self.keys.credential(exchange, upstream.name, step.lease)
        destination = self._destination(exchange.config, upstream, model, request.host)
        built = build(request, api, destination.target, credential, exchange.fields.read if exchange.fields else None)
        outgoing = self.redactor.clean(built, exchange, upstream.name, lambda: self._conversation(exchange, request))
        apply(flow, outgoing)
        exchange.asked_usage, exchange.key_sent = outgoing.asked_usage, step.lease.key.value if step.lease else None
        flow.metadata[TIMEOUTS] = list(destination.limits if exchange.peek and exchange.peek.streams else destination.whole_limits)
        flow.metadata[DRAIN] = destination.drains
        record = exchange.record
        record.upstream, record.provider, record.served_model, record.key_hint = upstream.name, upstream.provider, outgoing.model, hint
        waited_ms, exchange.waited_ms = tries.waited_s * 1000 - exchange.waited_ms, tries.waited_s * 1000
        attempt = AttemptRecord(len(record.attempts) + 1, upstream.name, outgoing.host, outgoing.model, hint, wait_ms=waited_ms)
        record.attempts.append(attempt)
        exchange.attempt_started = exchange.now_ms()

    def _destination(self, config: Config, upstream: Upstream, model: str | None, host: str) -> Destination:
        if self._destinations.config is not config:
            self._destinations = Destinations(config)
        return self._destinations[upstream.name, model, "" if upstream.base_url else host]

    def _after_failure(self, failure: UpstreamFailure, exchange: Exchange, tries: Tries) -> None:
        flow, now = failure.flow, time.time()
        found = classified(failure, now)
        text, _ = self.state.redactor.text(found.text or failure.why, "error")  # it may quote what the upstream sent
        if attempt := exchange.attempt:
            attempt.failure, attempt.status = found.kind, failure.status
            attempt.duration_ms = exchange.now_ms() - (exchange.attempt_started or 0.0)
        if flow.metadata.get(CLIENT_LEFT):  # nobody waits for an answer
            tries.refused(found, now)
            tries.close(now)
            return
        nobodys = found.kind == "auth" and tries.lease is None and exchange.refused_with is not None  # went without any credential
        if failure.response is not None and not nobodys:
            exchange.refused_with, exchange.refused_restore = failure.response, exchange.restore
        self._log(exchange, tries, found)
        step = tries.failed(found, now)
        self.state.health_changed()
        if RETRIES not in flow.metadata:  # its body is gone
            tries.close(now)
            step = Stop("failed")
        if not isinstance(step, Stop):
            flow.metadata[AGAIN] = True
        self._take(flow, exchange, tries, step)
        if isinstance(step, Stop) and step.reason == "failed":
            self._give_failure(failure, exchange, found, text)

    @staticmethod
    def _log(exchange: Exchange, tries: Tries, found: Failure) -> None:
        """A key that is refused, or has spent its quota, is news; a limit is everyday."""
        if tries.lease and found.kind in ("auth", "quota"):
            key, upstream = tries.lease.key, exchange.record.upstream
            logger.warning("key …%s of %s (%s) %s: it rests, the next one is tried", key.hint or "", upstream, key.label, WHY[found.kind])

    # Answers ------------------------------------------------------------------------------------------------------------

    def _give_failure(self, failure: UpstreamFailure, exchange: Exchange, found: Failure, text: str) -> None:
        """The last response of an upstream as it came; without one 502 or 504 in the client's dialect."""
        flow = failure.flow
        if failure.kind == "error_event":
            return  # what was held goes to the client
        if exchange.refused_with is not None:
            flow.response = exchange.refused_with
            if exchange.refused_restore:
                restore_answer(flow.response, exchange.record.api, *exchange.refused_restore)
            begun = flow.response.timestamp_start
            exchange.record.ttfb_ms = begun * 1000 - exchange.record.started_ms if begun else None
            return
        upstream = exchange.record.upstream or exchange.record.host
        if found.kind == "timeout":
            refuse(flow, exchange, 504, "upstream_timeout", f"{upstream} did not answer in time: {text}", outcome="error")
        else:
            refuse(flow, exchange, 502, "upstream_unreachable", f"{upstream} gave no answer: {text}", outcome="error")

    def _refuse_exhausted(self, flow: http.HTTPFlow, exchange: Exchange, step: Stop) -> None:
        attempts = exchange.record.attempts
        told = [
            {"upstream": a.upstream, "key": f"…{a.key_hint}" if a.key_hint else None, "status": a.status, "failure": a.failure}
            for a in attempts
        ]
        seconds = max(1, math.ceil(step.retry_after_s or 0))
        message = f"{self._why_no_key(exchange)}; try again in {seconds} s"
        outcome: Outcome = "error" if attempts else "blocked"
        headers = {"Retry-After": str(seconds)}
        refuse(flow, exchange, 503, "all_keys_exhausted", message, outcome=outcome, headers=headers, attempts=told)

    def _why_no_key(self, exchange: Exchange) -> str:
        """Upstream by upstream, and of each key what the provider said last."""
        tries, now = exchange.tries, time.time()
        told = []
        for pool, upstream in {option.pool: option.upstream for option in (tries.options if tries else ()) if option.pool}.items():
            keys = [f"…{key.hint or ''} {WHY.get(key.cooldowns[0].why, 'rests')}" for key in pool.states(now) if key.cooldowns]
            told.append(f"no key of {upstream} is free" + (f" ({', '.join(keys[:MAX_TOLD])})" if keys else ", all are in use"))
        return "; ".join(told) or "no key is free"

    @staticmethod
    def _why_none(exchange: Exchange, tries: Tries) -> str:
        candidates = exchange.decision.candidates if exchange.decision else ()
        reasons = [candidate.passed_over or tries.passed.get(n) for n, candidate in enumerate(candidates)]
        told = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
        return f"no candidate can take this call: {told}" if told else "no candidate can take this call"


def classified(failure: UpstreamFailure, now: float) -> Failure:
    """The class of DESIGN §5 of what the HTTP layer saw; `now` in Unix seconds."""
    if failure.kind == "error_event":
        return stream_error(*failure.error)
    if failure.response is None:
        return Failure("timeout" if failure.kind == "timeout" or timed_out(failure.why) else "connect", text=failure.why)
    response = failure.response
    raw = response.raw_content or b""
    try:
        body = decode(raw, response.headers.get("content-encoding"))
    except UndecodableBody:
        body = b""
    found = classify(response.status_code, response.headers.items(multi=True), body, now)
    return found or Failure("server", response.status_code, text=failure.why)


TIMED_OUT = ("timed out", "Timeout", "ETIMEDOUT", "Errno 110")


def timed_out(why: str) -> bool:
    """Did the operating system give up waiting?"""
    return any(sign in why for sign in TIMED_OUT)


def _not_sent(step: Send, error: Exception) -> str:
    return f"Turnpike sent nothing to upstream {step.option.upstream!r}: {error}"
