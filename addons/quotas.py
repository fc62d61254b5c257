"""How upstreams and their keys stand now, for /ready and {prefix}/v1/quota-stats: never a key, only its label and last characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Literal

from addons.core.breaker import Breaker
from addons.core.keystates import KeyState
from addons.state import State
from addons.storage.values import iso_time

Standing = Literal["available", "cooling", "locked"]


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
    counts = Counter(map(standing, keys))
    return {"keys": len(keys), "free": counts["available"], "cooling": counts["cooling"], "locked": counts["locked"]}


def standing(key: KeyState) -> Standing:
    """Locked: the provider has refused the key itself; cooling: for a model or a group, or altogether."""
    if any(cooldown.why == "auth" for cooldown in key.cooldowns):
        return "locked"
    return "cooling" if key.cooldowns else "available"


def key_names(keys: Iterable[KeyState]) -> list[tuple[KeyState, str]]:
    """Each with a name that no other has: its source and its last characters, a number where that is not enough."""
    seen: Counter[str] = Counter()
    named = []
    for key in keys:
        name = f"{key.label} …{key.hint}" if key.hint else key.label
        seen[name] += 1
        named.append((key, name if seen[name] == 1 else f"{name} #{seen[name]}"))
    return named


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
