"""Calls of our own that ask whether an upstream answers, where `probe` is set; nobody else is ever asked (DESIGN §5).

An answer below 500 says that it does, also one that refuses the key or the rate; the breaker is told of either.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NamedTuple

from addons.config import Probe
from addons.core.breaker import Breaker
from addons.core.call import FailureClass
from addons.core.failures import HANDLING, failure_of
from addons.core.own_calls import probe_request, spare_key
from addons.outbound import Outbound, Unanswered
from addons.state import State

logger = logging.getLogger(__name__)

LOOK_S = 1.0  # how soon a changed configuration is noticed
SHORTEST_NAP_S = 0.01  # clocks round
PROBE_BYTES = 256 * 1024  # more of the answer is not read; what is read whole leaves the connection open for the next


class Probed(NamedTuple):
    """An upstream, as far as it matters to its probe."""

    upstream: str
    provider: str
    base_url: str
    probe: Probe


class Probes:
    """Each upstream has one probe under way at most; one that takes longer than `every` makes the next one wait for its turn."""

    def __init__(self, state: State, outbound: Outbound) -> None:
        self.state, self.outbound = state, outbound
        self._due: dict[Probed, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._failing: dict[str, str] = {}  # upstream → why, as it was logged
        self._watcher: asyncio.Task[None] | None = None

    def running(self) -> None:
        """The proxy is up."""
        self._watcher = asyncio.create_task(self._watch())

    def done(self) -> None:
        """No further one begins, and those that run are broken off."""
        for task in (self._watcher, *self._running.values()):
            if task:
                task.cancel()

    async def _watch(self) -> None:
        while True:
            try:
                nap_s = self.begin_due(time.monotonic())
            except Exception as error:  # a fault here must not end all later probes
                logger.error("probes could not be begun: %s", type(error).__name__)
                nap_s = LOOK_S
            await asyncio.sleep(nap_s)

    def begin_due(self, now: float) -> float:
        """Begin those whose time has come (`now` on a monotonic clock); gives the seconds until it should be looked again."""
        self._due = {probed: self._due.get(probed, now) for probed in self._probed()}
        for probed, at in self._due.items():
            if at > now:
                continue
            self._due[probed] = now + probed.probe.every
            if probed.upstream not in self._running:
                self._running[probed.upstream] = asyncio.create_task(self._probe(probed))
        return max(SHORTEST_NAP_S, min([LOOK_S, *(at - now for at in self._due.values())]))

    def _probed(self) -> list[Probed]:
        upstreams = self.state.config.upstreams.values()
        return [Probed(u.name, u.provider, u.base_url, u.probe) for u in upstreams if u.probe and u.base_url]

    async def _probe(self, probed: Probed) -> None:
        name = probed.upstream
        try:
            breaker = self.state.breakers[name]
            breaker.begin(time.time())
            failure, told = await self._ask(probed)
            self._tell(name, breaker, failure, told)
        except Exception as error:
            logger.error("the probe of %s failed: %s", name, type(error).__name__)
        finally:
            del self._running[name]

    async def _ask(self, probed: Probed) -> tuple[FailureClass | None, str]:
        """The class of the failure, None if the upstream answers, and what is to be said of it."""
        upstream = self.state.config.upstreams[probed.upstream]
        key = None if upstream.inject == "never" else spare_key(self.state.pools[probed.upstream].keys, time.time())
        request = probe_request(probed.provider, probed.base_url, probed.probe.path, key)
        try:
            answer = await self.outbound.get(request, probed.probe.timeout, PROBE_BYTES)
        except Unanswered as error:
            return error.why, self.state.redactor.text(str(error), "error")[0]
        if answer.status < 500:
            return None, ""
        kind = failure_of(answer.status)
        return kind if kind and HANDLING[kind].trips_breaker else "server", f"answered {answer.status}"

    def _tell(self, name: str, breaker: Breaker, failure: FailureClass | None, told: str) -> None:
        """The breaker, the file that outlives a restart, and the log: once per change."""
        before = breaker.snapshot()
        if failure:
            breaker.failed(time.time(), failure)
        else:
            breaker.succeeded(time.time())
        if breaker.snapshot() != before:
            self.state.health_changed()
        if failure and self._failing.get(name) != told:
            logger.warning("upstream %s fails its probe: %s", name, told)
            self._failing[name] = told
        elif not failure and self._failing.pop(name, ""):
            logger.info("upstream %s answers its probe again", name)
