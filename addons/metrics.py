"""What `/metrics` says, in Prometheus' words (https://prometheus.io/docs/instrumenting/exposition_formats/).

On the way of a call plain numbers are counted (`core/tallies.py`, `State.counts`): metrics are made of them when somebody asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from addons.core.call import CallRecord
from addons.core.tallies import Histogram
from addons.quotas import key_names, standing, summary
from addons.state import State

PLAIN = {
    "tunnels": "Connections and requests to hosts that no upstream names, passed on unopened.",
    "side_calls": "Requests on our hosts that are no API calls, passed on untouched.",
    "blocked_hosts": "Requests for hosts that no upstream names, refused.",
    "refused_peers": "Connections refused since the peer is not on loopback.",
    "tls_failures": "Handshakes in which a client refused the proxy's certificate, or broke off.",
    "websockets_refused": "WebSocket handshakes answered with 426.",
}
BREAKER_STATES = ("closed", "open", "half_open")
KEY_STATES = {"free": "available", "cooling": "cooling", "locked": "locked"}
"""Names in /ready → values of the label `state`."""


def count_call(state: State, record: CallRecord) -> None:
    """Count a call that has ended."""
    state.tallies.ended(record)


def exposition(state: State) -> str:
    """All of it, a family each with its help and type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateCollector(state))
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


class StateCollector(Collector):
    """Reads the State once."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """On the event loop."""
        for name, text in PLAIN.items():
            yield CounterMetricFamily(f"turnpike_{name}", text, self._state.counts[name])
        yield from self._calls()
        yield from self._usage()
        yield from self._keys(time.time())
        yield from self._storage()
        yield from self._process()

    def _calls(self) -> Iterator[Metric]:
        tallies = self._state.tallies
        yield _counter("calls", "API calls that have ended.", ("upstream", "outcome"), tallies.calls.items())
        attempts = [((upstream,), count) for upstream, count in tallies.attempts.items()]
        yield _counter("attempts", "Tries sent to upstreams, those that were answered included.", ("upstream",), attempts)
        yield _counter("errors", "Tries that failed, by the class of the failure.", ("upstream", "class"), tallies.failures.items())
        text = "From a call's first byte to the end of its answer; calls that were refused are left out."
        yield _histogram("call_duration_seconds", text, tallies.durations)
        running = len(self._state.live)
        yield GaugeMetricFamily("turnpike_calls_running", "API calls that have begun and not ended.", running)

    def _usage(self) -> Iterator[Metric]:
        tallies = self._state.tallies
        yield _histogram("ttft_seconds", "From a call's first byte to the first content of its answer.", tallies.ttft.copy())
        text = "Tokens, reported or estimated. Cached ones are part of input, reasoning of output."
        yield _counter("tokens", text, ("kind", "model"), tallies.tokens.copy().items())
        yield _counter("cost_usd", "What the calls have cost, where it is known.", ("upstream", "model"), tallies.cost_usd.copy().items())

    def _keys(self, now: float) -> Iterator[Metric]:
        keys = GaugeMetricFamily("turnpike_keys", "Keys of an upstream, by their state.", labels=("upstream", "state"))
        breakers = GaugeMetricFamily("turnpike_breaker_state", "1 for the state in which the breaker is.", labels=("upstream", "state"))
        for upstream, told in summary(self._state, now).items():
            for name, label in KEY_STATES.items():
                keys.add_metric((upstream, label), told[name])
            for name in BREAKER_STATES:
                breakers.add_metric((upstream, name), told["breaker"] == name)
        yield keys
        yield breakers
        text = "1 for the state in which a key is. A key is named by its source and its last characters."
        single = GaugeMetricFamily("turnpike_key_state", text, labels=("upstream", "key", "state"))
        in_flight = GaugeMetricFamily("turnpike_key_calls_running", "Calls that hold a key.", labels=("upstream", "key"))
        for upstream, pool in self._state.pools.items():
            for key, name in key_names(pool.states(now)):
                in_flight.add_metric((upstream, name), key.in_flight)
                for label in KEY_STATES.values():
                    single.add_metric((upstream, name, label), label == standing(key))
        yield single
        yield in_flight

    def _storage(self) -> Iterator[Metric]:
        stats = self._state.writer.stats()
        for name, text, value in (
            ("rows_written", "Calls written to the database.", stats.written),
            ("bodies_dropped", "Bodies given up since the disk did not follow.", stats.dropped_bodies),
            ("rows_dropped", "Calls given up since the disk did not follow for long.", stats.dropped_rows),
            ("log_lines_dropped", "Lines that are in no log file since the disk did not follow.", self._state.logs.dropped),
        ):
            yield CounterMetricFamily(f"turnpike_{name}", text, value)
        gauges: tuple[tuple[str, str, float], ...] = (
            ("queue_rows", "Calls that wait to be written.", stats.queued),
            ("queue_bytes", "Bytes of the calls that wait to be written.", stats.queued_bytes),
            ("database_up", "1 when the database can be written.", self._state.writer.healthy()[0]),
            ("last_commit_timestamp_seconds", "When calls were last written, Unix time; 0 before.", stats.last_commit or 0),
        )
        for name, text, level in gauges:
            yield GaugeMetricFamily(f"turnpike_{name}", text, level)

    def _process(self) -> Iterator[Metric]:
        lag = HistogramMetricFamily("turnpike_event_loop_lag_seconds", "By how much a timer of the event loop was late.")
        lag.add_metric((), self._state.tallies.lag.buckets(), self._state.tallies.lag.total)
        yield lag
        draining = int(self._state.draining_until is not None)
        yield GaugeMetricFamily("turnpike_draining", "1 when no new calls are taken, since the proxy is being stopped.", draining)


def _counter(name: str, text: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = CounterMetricFamily(f"turnpike_{name}", text, labels=labels)
    for values, count in sorted(counts):
        family.add_metric(values, count)
    return family


def _histogram(name: str, text: str, by_upstream: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(f"turnpike_{name}", text, labels=("upstream",))
    for upstream, histogram in sorted(by_upstream.items()):
        family.add_metric((upstream,), histogram.buckets(), histogram.total)
    return family
