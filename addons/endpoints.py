"""Requests for the proxy itself: /healthz, /ready, /metrics, {prefix}/v1/upstreams (DESIGN §4)."""

from __future__ import annotations

from mitmproxy import http

from addons.answers import answer_json, answer_text, refuse
from addons.exchange import exchange_of
from addons.metrics import exposition
from addons.state import State

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Endpoints:
    """Answers what Scope called local; nothing of it goes upstream or into a row."""

    def __init__(self, state: State) -> None:
        self.state = state

    def request(self, flow: http.HTTPFlow) -> None:
        """Look the path up in the table; what is not there is a 404 that says where calls belong."""
        exchange = exchange_of(flow)
        if exchange is None or exchange.kind != "local" or flow.response:
            return
        path, prefix = exchange.path.partition("?")[0], self.state.config.proxy.prefix
        answers = {
            ("GET", "/healthz"): self._healthz,
            ("GET", "/ready"): self._ready,
            ("GET", "/metrics"): self._metrics,
            ("GET", f"{prefix}/v1/upstreams"): self._upstreams,
        }
        method = "GET" if flow.request.method == "HEAD" else flow.request.method
        answer = answers.get((method, path))
        if answer:
            answer(flow)
        else:
            refuse(flow, exchange, 404, "not_found", f"nothing is here; calls go to {prefix}/v1/… or {prefix}/<upstream>/…")

    def request_stream(self, flow: http.HTTPFlow) -> None:
        """A long body changes nothing: it is not read."""
        self.request(flow)

    def _healthz(self, flow: http.HTTPFlow) -> None:
        answer_json(flow, 200, {"status": "ok"})

    def _ready(self, flow: http.HTTPFlow) -> None:
        """200 when calls can be served and recorded, else 503 with what is wrong."""
        healthy, reason = self.state.writer.healthy()
        upstreams = {
            name: {"state": self.state.upstreams.get(name, "not called yet"), "keys": len(self.state.pools[name].keys)}
            for name in self.state.config.upstreams
        }
        config = self.state.config_error or "ok"
        ready = healthy and self.state.config_error is None
        database = "ok" if healthy else reason
        answer_json(flow, 200 if ready else 503, {"ready": ready, "config": config, "database": database, "upstreams": upstreams})

    def _metrics(self, flow: http.HTTPFlow) -> None:
        answer_text(flow, exposition(self.state), METRICS_TYPE)

    def _upstreams(self, flow: http.HTTPFlow) -> None:
        listed = [{"name": u.name, "provider": u.provider, "default": u.default} for u in self.state.config.upstreams.values()]
        answer_json(flow, 200, {"object": "list", "data": listed})
