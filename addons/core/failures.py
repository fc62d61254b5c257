"""What a failed attempt is called (DESIGN §5): one table from status to class."""

from __future__ import annotations

from collections.abc import Mapping

from addons.core.call import FailureClass

BY_STATUS: Mapping[int, FailureClass] = {
    400: "request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "request",
    413: "request",
    422: "request",
    429: "rate_limit",
    500: "server",
    502: "server",
    503: "overloaded",
    504: "server",
    529: "overloaded",  # Anthropic: overloaded_error
}
FIRST_CLIENT_ERROR, FIRST_SERVER_ERROR = 400, 500


def failure_of(status: int) -> FailureClass | None:
    """The class of a response's status; None for an answer that is no failure."""
    if status < FIRST_CLIENT_ERROR:
        return None
    return BY_STATUS.get(status, "request" if status < FIRST_SERVER_ERROR else "server")
