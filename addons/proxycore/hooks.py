"""What our HTTP stream and the add-ons tell each other: hooks that mitmproxy does not have, and keys in `flow.metadata`.

Values in `flow.metadata` are plain, since mitmproxy's `-w` saves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mitmproxy import http
from mitmproxy.proxy import commands

ORIGIN_FORM = "turnpike_origin_form"
"""bool: the request was spoken to the proxy itself."""
CLIENT_LEFT = "turnpike_client_left"
"""bool: the client's end of the call is gone."""
FAILURE = "turnpike_failure"
"""str: why the last attempt gave no answer."""
DRAIN = "turnpike_drain"
"""bool: an answer is read to its end when the client leaves."""
RETRIES = "turnpike_retries"
"""str: this is a call that may be sent again; the name of its API, by which the beginning of its answer is read."""
TIMEOUTS = "turnpike_timeouts"
"""list of three floats, seconds: to connect, to the first byte, and between two bytes of an answer."""
WAIT = "turnpike_wait"
"""float, seconds: nothing is to be sent now; `attempt_due` is called after so long, or after `wake`. Taken off when it is read."""
AGAIN = "turnpike_again"
"""bool, set by `upstream_failed`: what `flow.request` is now is to be sent (or waited for, with WAIT). Taken off when it is read."""

FailureKind = Literal["status", "error_event", "connect", "timeout"]
"""status: a response with a status from 400 · error_event: an error in a stream before its first content · connect: no connection, or
it broke before the first content · timeout: neither connection nor first content in time."""


@dataclass(frozen=True)
class UpstreamFailure:
    """How an attempt failed. `status` is what the upstream answered, if anything; `response` is whole (its body as it came,
    content-encoded), and there for an error's status only; `error` is an error event's type and text."""

    flow: http.HTTPFlow
    kind: FailureKind
    why: str
    status: int | None = None
    response: http.Response | None = None
    error: tuple[str | None, str | None] = (None, None)


@dataclass
class RequestStreamHook(commands.StartHook):
    """`request_stream(flow)`: the body will not be held; `flow.request` has no content."""

    flow: http.HTTPFlow


@dataclass
class UpstreamFailedHook(commands.StartHook):
    """`upstream_failed(failure)`: nothing of an answer has reached the client yet.

    An add-on may set AGAIN (and change `flow.request`), or `flow.response` to answer; else the client gets the failure as it came.
    """

    failure: UpstreamFailure


@dataclass
class AttemptDueHook(commands.StartHook):
    """`attempt_due(flow)`: what was waited for with WAIT has come, or its time is over; an add-on sets the same things as above."""

    flow: http.HTTPFlow
