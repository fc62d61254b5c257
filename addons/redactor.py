"""Asked per attempt: secrets out of what is sent, by that upstream's policy.

The only policy that the configuration accepts so far is `outgoing: {mode: off}`, under which a request is passed as it
is. Anything else is refused here too, so that a body can't slip through unprotected (protection fails closed).
"""

from __future__ import annotations

from addons.core.attempt import Request
from addons.state import State


class Unprotected(RuntimeError):
    """Protection is asked for that can't be given; nothing may be sent."""


class Redactor:
    """Gives back the request that may be sent to an upstream."""

    def __init__(self, state: State) -> None:
        self.state = state

    def clean(self, request: Request, upstream: str) -> Request:
        """The request as this upstream may see it. Raises Unprotected."""
        mode = self.state.config.upstreams[upstream].redaction.mode or self.state.config.redaction.outgoing.mode
        if mode != "off":
            raise Unprotected(f"outgoing redaction for {upstream} is not available")
        return request
