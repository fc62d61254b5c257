"""How upstreams and their keys stand now, for /ready and {prefix}/v1/quota-stats: never a key, only its label and last characters."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from addons.core.breaker import Breaker
from addons.core.keystates import KeyState
from addons.state import State
from addons.storage.values import iso_time


def summary(state: State, now: float) -> dict[str, dict[str, Any]]:
    """Upstream → is it well, its breaker, and how many of its keys are free, cool for a model or a group, or are locked out.

    `now` in Unix seconds.
    """
    return {
        name: {
            "state": _state(breaker, counts := _counted(state.pools[name].states(now))),
            "breaker": breaker.state(now),
            **counts,
        }
        for name, breaker in state.breakers.items()
    }


def _state(breaker: Breaker, counts: dict[str, int]) -> str:
    if breaker.failures:
        return f"failing: {breaker.last_failure}"
    return "no free key" if counts["keys"] and not counts["free"] else "ok"


def reset(state: State, names: Collection[str], now: float) -> list[str]:
    """Let all keys of these upstreams (none named: of all) be used again, and close their breakers; gives their names."""
    chosen = [name for name in state.config.upstreams if not names or name in names]
    for name in chosen:
        state.pools[name].forgive(now)
        state.breakers[name].succeeded(now)
    state.health_changed()
    if state.statefile:
        state.statefile.reset(chosen)  # other processes do the same
    return chosen


def _counted(keys: list[KeyState]) -> dict[str, int]:
    locked = sum(any(cooldown.why == "auth" for cooldown in key.cooldowns) for key in keys)
    free = sum(not key.cooldowns for key in keys)
    return {"keys": len(keys), "free": free, "cooling": len(keys) - free - locked, "locked": locked}


def details(state: State, now: float) -> list[dict[str, Any]]:
    """Each upstream with its breaker and each of its keys, whose calls are those of all processes. `now` in Unix seconds."""
    others = [report.keys for report in state.reports.others()] if state.reports else []
    return [
        {
            "upstream": name,
            "provider": upstream.provider,
            "breaker": _breaker(state.breakers[name], now),
            "keys": [_key(key, now) for key in _with_others(state.pools[name].states(now), [keys.get(name, []) for keys in others])],
        }
        for name, upstream in state.config.upstreams.items()
    ]


def _with_others(keys: list[KeyState], others: list[list[tuple[int, int]]]) -> list[KeyState]:
    """The calls of other processes are added; one that has another configuration still is left out."""
    for counts in others:
        if len(counts) == len(keys):
            keys = [
                replace(key, in_flight=key.in_flight + in_flight, used=key.used + used)
                for key, (in_flight, used) in zip(keys, counts, strict=True)
            ]
    return keys


def _breaker(breaker: Breaker, now: float) -> dict[str, Any]:
    return {
        "state": breaker.state(now),
        "failures": breaker.failures,
        "last_failure": breaker.last_failure,
        **_until(breaker.open_until, now),
    }


def _key(key: KeyState, now: float) -> dict[str, Any]:
    return {
        "label": key.label,
        "hint": key.hint,
        "in_flight": key.in_flight,
        "limit": key.limit,
        "used": key.used,
        "cooldowns": [{"group": of.group, "why": of.why, **_until(of.until, now)} for of in key.cooldowns],
        "ramps": key.ramps,
    }


def _until(until: float | None, now: float) -> dict[str, Any]:
    if until is None:
        return {"until": None, "seconds_left": None}
    return {"until": iso_time(round(until * 1000)), "seconds_left": round(max(0.0, until - now), 1)}
