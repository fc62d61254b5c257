"""Between the pools and breakers of this process and the state that others share: slots of keys with `max_concurrent`, and news.

    a call takes or gives back a key, or waits for one ─► touched ─► once per turn of the event loop: Demand ─► state's thread
    pool: the key is free for more calls ◄─ Share ◄──────────────────────────────────────────────────────────────╯

Only where other processes may have the same keys; one that is alone asks nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial

from addons.core.breaker import Breaker
from addons.core.keypool import KeyPool, PooledKey
from addons.core.slots import Demand, Share, Slots
from addons.health import merge
from addons.storage.statekeeper import StateKeeper


class Slotting:
    """`processes`: how many there are at least; `shares`: do they have keys in common that may be full?

    All on the event loop, but for what the state's thread calls.
    """

    def __init__(self, keeper: StateKeeper, processes: int, *, shares: bool) -> None:
        self.keeper, self.processes, self.shares = keeper, processes, shares
        self._pools: Mapping[str, KeyPool] = {}
        self._breakers: Mapping[str, Breaker] = {}
        self._keys: dict[str, PooledKey] = {}  # by the name of their slots
        self._leaving: set[PooledKey] = set()
        self._touched: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def adopt(self, pools: Mapping[str, KeyPool], breakers: Mapping[str, Breaker]) -> None:
        """A configuration is in use: keys have new limits, have come or have gone."""
        self._pools, self._breakers = pools, breakers
        found = ((f"{name}:{key.id}", key) for name, pool in pools.items() for key in pool.keys)
        limited = {name: key for name, key in found if key.max_concurrent} if self.shares else {}
        self._leaving = {key for name, key in self._keys.items() if limited.get(name) is not key}
        for name, key in limited.items():
            if key.slots is None:  # where a key was gone and is back, what is known of its slots goes on
                known = self._keys.get(name)
                key.slots = (known and known.slots) or Slots(name, partial(self._touch, name))
        self._keys |= limited
        for name in self._keys:
            self._touch(name)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """From here on the state's thread is listened to."""
        self._loop = loop
        self.keeper.on_shares = lambda shares: self._call(lambda: self._told(shares))
        self.keeper.on_cut_off = lambda: self._call(self._cut_off)
        self.keeper.on_news = lambda news: self._call(lambda: merge(news, self._pools, self._breakers, time.time()))
        self._settle()
        self.keeper.ask(())  # so that the thread looks at once

    def _call(self, step: Callable[[], None]) -> None:
        """In the state's thread."""
        if self._loop:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody needs it any more
                self._loop.call_soon_threadsafe(step)

    def _touch(self, name: str) -> None:
        """Something has changed for a key: look at it once this turn of the loop is over."""
        if not self._touched and self._loop:
            self._loop.call_soon(self._settle)
        self._touched.add(name)

    def _settle(self) -> None:
        """Ask for what is needed, hand on what is not."""
        names, self._touched = self._touched, set()
        now = time.time()
        self.keeper.ask(demand for name in names if (demand := self._demand(self._keys[name], now)))

    def _demand(self, key: PooledKey, now: float) -> Demand | None:
        if key.slots is None:
            return None
        limit = 0 if key in self._leaving else key.max_concurrent or 0
        waiting = sum(pool.lacking(key, now) for pool in key.holders.all()) if limit else 0
        return key.slots.demand(limit, key.in_flight, waiting)

    def _told(self, shares: list[Share]) -> None:
        now = time.time()
        for share in shares:
            key = self._keys.get(share.name)
            if key and key.slots:
                if key.slots.told(share):
                    key.loosened(now)
                self._touch(share.name)

    def _cut_off(self) -> None:
        now = time.time()
        for key in self._keys.values():
            if key.slots and key.slots.cut_off(key.max_concurrent or 0, self.processes):
                key.loosened(now)
