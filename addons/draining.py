"""A graceful end: asked to stop, the proxy refuses new calls with 503, lets those that run finish, and then ends.

1st signal ──► draining: new calls refused, /ready 503 ──► nothing runs and all is sent, or `proxy.shutdown_grace` is over ──► done
2nd signal ──► done at once                                                     (what still runs is cut, and recorded so)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import time

from mitmproxy import ctx, http

from addons.answers import refuse
from addons.exchange import Exchange
from addons.proxycore.unsent import unsent_bytes
from addons.state import State

logger = logging.getLogger(__name__)

LOOK_S = 0.05
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # a closed terminal would else cost the calls that run their rows


class Draining:
    """Takes the signals over from mitmproxy, which would cut everything off at the first."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        """From now on. mitmproxy's own console asks its user before it ends, and keeps Ctrl-C."""
        loop = asyncio.get_running_loop()
        asks_itself = hasattr(ctx.master, "prompt_for_exit")
        for name in SIGNALS:
            number = getattr(signal, name, None)
            if number is None or (asks_itself and name == "SIGINT"):
                continue
            if name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN:  # nohup
                continue
            with contextlib.suppress(NotImplementedError):  # Windows: mitmproxy's own handlers stay
                loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        """Begin to drain; asked again, or with nothing to wait for, end now."""
        grace_s = self.state.config.proxy.shutdown_grace
        if self._task or not grace_s:
            if self.state.live:
                logger.warning("ending at once: %d calls are cut off", len(self.state.live))
            ctx.master.shutdown()
            return
        self.state.draining_until = time.monotonic() + grace_s
        if self.state.live:
            logger.info("stopping: new calls are refused, %d that run have %g s to finish", len(self.state.live), grace_s)
        self._task = asyncio.create_task(self._drain(self.state.draining_until))

    async def _drain(self, deadline: float) -> None:
        try:
            quiet = 0
            while quiet < 2 and time.monotonic() < deadline:  # twice in a row: the end of an answer is sent just after its last hook
                quiet = 0 if self.state.live or unsent_bytes(ctx.master) else quiet + 1
                if quiet < 2:
                    await asyncio.sleep(LOOK_S if self.state.live else LOOK_S / 5)
            if self.state.live:
                logger.warning("proxy.shutdown_grace is over: %d calls are cut off", len(self.state.live))
        finally:
            ctx.master.shutdown()


def refuse_new(state: State, flow: http.HTTPFlow, exchange: Exchange | None) -> None:
    """503, and not on this connection again."""
    left_s = math.ceil((state.draining_until or 0.0) - time.monotonic())
    headers = {"Retry-After": str(max(1, left_s))}
    if not flow.request.is_http2:
        headers["Connection"] = "close"
    refuse(flow, exchange, 503, "shutting_down", "the proxy is being stopped; try again when it is back", headers=headers)
