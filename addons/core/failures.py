"""What a failed attempt is called (DESIGN §5): one table from status to class."""

from __future__ import annotations

import re
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


QUOTA_SIGNS = re.compile(
    r"insufficient_quota|insufficient.?balance|billing|credit|exceeded your (?:current )?quota|per.?day", re.IGNORECASE
)


def failure_told(by_status: FailureClass | None, outcome: str, error: str) -> FailureClass | None:
    """The class with the answer read: `error` is its error's type and text, `outcome` how the call ended.

    A spent quota comes with 429 or 403; an SSE error before the first content, or after it, with 200.
    """
    if by_status in ("rate_limit", "auth") and QUOTA_SIGNS.search(error):
        return "quota"
    if by_status is None and outcome == "partial":
        return "stream"
    return "overloaded" if by_status is None and outcome == "error" and error != "None None" else by_status
