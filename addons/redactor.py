"""Asked per attempt: secrets out of what is sent, by that upstream's policy.

The only policy that the configuration accepts so far is `outgoing: {mode: off}`, under which a request is passed as it
is. Anything else is refused here too, so that a body can't slip through unprotected (protection fails closed).
"""

from __future__ import annotations

from addons.config import Config
from addons.core.attempt import Request


class Unprotected(RuntimeError):
    """Protection is asked for that can't be given; nothing may be sent."""


class Redactor:
    """Gives back the request that may be sent to an upstream."""

    def clean(self, request: Request, config: Config, upstream: str) -> Request:
        """The request as this upstream may see it. Raises Unprotected."""
        mode = config.upstreams[upstream].redaction.mode or config.redaction.outgoing.mode
        if mode != "off":
            raise Unprotected(f"outgoing redaction for {upstream} is not available")
        return request
