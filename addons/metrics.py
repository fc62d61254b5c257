"""The counts as Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

from addons.core.call import CallRecord
from addons.state import State

PLAIN = {
    "tunnels": "Connections and requests to hosts that no upstream names, passed on unopened.",
    "side_calls": "Requests on our hosts that are no API calls, passed on untouched.",
    "blocked_hosts": "Requests for hosts that no upstream names, refused.",
    "refused_peers": "Connections refused since the peer is not on loopback.",
    "tls_failures": "Handshakes in which a client refused the proxy's certificate, or broke off.",
    "websockets_refused": "WebSocket handshakes answered with 426.",
}
Label = tuple[str, ...]


def count_call(state: State, record: CallRecord) -> None:
    """Count a call that has ended, by upstream and outcome."""
    state.counts[_labelled("calls", upstream=record.upstream or "", outcome=record.outcome)] += 1


def _labelled(name: str, **labels: str) -> str:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{name}_total{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def exposition(state: State) -> str:
    """All counts and the writer's queue, a line each with its help and type."""
    lines = []
    for name, text in PLAIN.items():
        lines += _family(f"turnpike_{name}_total", "counter", text, [f"turnpike_{name}_total {state.counts[name]}"])
    calls = [f"turnpike_{name} {count}" for name, count in sorted(state.counts.items()) if name.startswith("calls_total{")]
    lines += _family("turnpike_calls_total", "counter", "API calls that have ended.", calls)
    stats = state.writer.stats()
    for name, kind, text, value in (
        ("queue_rows", "gauge", "Calls that wait to be written.", stats.queued),
        ("queue_bytes", "gauge", "Bytes of the calls that wait to be written.", stats.queued_bytes),
        ("rows_written_total", "counter", "Calls written to the database.", stats.written),
        ("bodies_dropped_total", "counter", "Bodies given up since the disk did not follow.", stats.dropped_bodies),
        ("rows_dropped_total", "counter", "Calls given up since the disk did not follow for long.", stats.dropped_rows),
    ):
        lines += _family(f"turnpike_{name}", kind, text, [f"turnpike_{name} {value}"])
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, text: str, samples: list[str]) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *samples]
