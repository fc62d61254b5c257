"""Requests for the proxy itself: /healthz, /ready, /metrics, {prefix}/v1/… (DESIGN §4)."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable

from mitmproxy import http

from addons.answers import answer_json, answer_text, refuse
from addons.catalogue import Catalogue
from addons.estimates import Estimates
from addons.exchange import exchange_of
from addons.metrics import exposition
from addons.quotas import details, reset, summary
from addons.reports import merged
from addons.state import State

READS_BODY = ("/v1/token-count", "/v1/cost-estimate")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Endpoints:
    """Answers what Scope called local; nothing of it goes upstream or into a row."""

    def __init__(self, state: State, catalogue: Catalogue) -> None:
        self.state, self.catalogue = state, catalogue
        self.estimates = Estimates(state)

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Look the path up in the table; what is not there is a 404 that says where calls belong. What takes longer is awaited."""
        exchange = exchange_of(flow)
        if exchange is None or exchange.kind != "local" or flow.response:
            return None
        path, prefix = exchange.path.partition("?")[0], self.state.config.proxy.prefix
        answers = {
            ("GET", "/healthz"): self._healthz,
            ("GET", "/ready"): self._ready,
            ("GET", "/metrics"): self._metrics,
            ("GET", f"{prefix}/v1/upstreams"): self._upstreams,
            ("GET", f"{prefix}/v1/models"): self.catalogue.models,
            ("POST", f"{prefix}/v1/models/refresh"): self.catalogue.refresh,
            ("GET", f"{prefix}/v1/quota-stats"): self._quota_stats,
            ("POST", f"{prefix}/v1/quota-stats/reset"): self._quota_reset,
            ("POST", f"{prefix}/v1/token-count"): self.estimates.token_count,
            ("POST", f"{prefix}/v1/cost-estimate"): self.estimates.cost_estimate,
        }
        method = "GET" if flow.request.method == "HEAD" else flow.request.method
        answer = answers.get((method, path))
        if answer:
            return answer(flow)
        refuse(flow, exchange, 404, "not_found", f"nothing is here; calls go to {prefix}/v1/… or {prefix}/<upstream>/…")
        return None

    def request_stream(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """A long body is not read: it is too long for what would read it, and changes nothing else."""
        exchange = exchange_of(flow)
        path = exchange.path.partition("?")[0] if exchange else ""
        if flow.request.method == "POST" and path.removeprefix(self.state.config.proxy.prefix) in READS_BODY:
            if exchange and exchange.kind == "local" and not flow.response:
                self.estimates.too_long(flow)
            return None
        return self.request(flow)

    def _healthz(self, flow: http.HTTPFlow) -> None:
        answer_json(flow, 200, {"status": "ok"})

    def _ready(self, flow: http.HTTPFlow) -> None:
        """200 when calls can be served and recorded, else 503 with what is wrong."""
        healthy, reason = self.state.writer.healthy()
        statefile = self.state.statefile
        draining = self.state.draining_until is not None
        ready = healthy and self.state.config_error is None and not draining
        told = {
            "ready": ready,
            **({"draining": True} if draining else {}),
            "config": self.state.config_error or "ok",
            "database": "ok" if healthy else reason,
            "state": (statefile.error if statefile else None) or "ok",  # without it calls are served; a restart forgets cooldowns
            "upstreams": summary(self.state, time.time()),
        }
        if not (worker := self.state.worker).is_alone:  # the one that happens to answer; of the others only that they run
            others = self.state.reports.others() if self.state.reports else []
            running = sorted([worker.number, *(report.number for report in others)])
            told["worker"] = {"number": worker.number, "of": worker.count, "pid": os.getpid(), "running": running}
        answer_json(flow, 200 if ready else 503, told)

    def _metrics(self, flow: http.HTTPFlow) -> None:
        """Of all processes on the port: whichever answers, a scrape has the same counters, each with the label `worker`."""
        text = exposition(self.state)
        if self.state.reports:
            own = (self.state.worker.number, text)
            text = merged([own, *((report.number, report.metrics) for report in self.state.reports.others())])
        answer_text(flow, text, METRICS_TYPE)

    def _upstreams(self, flow: http.HTTPFlow) -> None:
        listed = [{"name": u.name, "provider": u.provider, "default": u.default} for u in self.state.config.upstreams.values()]
        answer_json(flow, 200, {"object": "list", "data": listed})

    def _quota_reset(self, flow: http.HTTPFlow) -> None:
        """`?upstream=NAME` (may be repeated) or all. For this machine only: keys that a provider has refused are used again."""
        exchange = exchange_of(flow)
        names = flow.request.query.get_all("upstream")
        unknown = [name for name in names if name not in self.state.config.upstreams]
        if exchange is None or not exchange.may_use_keys:
            refuse(flow, exchange, 403, "not_allowed", "keys are reset from this machine only")
        elif unknown:
            refuse(
                flow, exchange, 400, "upstream_not_found", f"no upstream is named {unknown[0]!r}", known=list(self.state.config.upstreams)
            )
        else:
            answer_json(flow, 200, {"reset": reset(self.state, names, time.time())})

    def _quota_stats(self, flow: http.HTTPFlow) -> None:
        answer_json(flow, 200, {"object": "list", "data": details(self.state, time.time())})
