"""Which headers of a stored request are sent again with it, by `turnpike replay` and by the curl command of a call's page."""

from __future__ import annotations

from addons.core.attempt import ACCOUNT_HEADERS
from addons.core.redaction.masking import MASK
from addons.core.redaction.names import is_cookie_header, is_credential_header

MASKED = MASK.decode()
CONNECTION_HEADERS = frozenset(
    {
        "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "priority",  # RFC 9110 §7.6.1
        "host", "content-length", "accept-encoding",  # made anew
        "content-encoding",  # bodies are stored decoded
        "origin", "referer",  # a page's: the proxy refuses those of other origins
        "x-upstream-name", "x-turnpike-replay", "x-turnpike-session",  # said anew
    }
)  # fmt: skip
CONNECTION_PREFIXES = ("proxy-", "sec-fetch-", "sec-websocket-", ":")
ACCOUNTS = frozenset(name.decode() for name in ACCOUNT_HEADERS)


def is_sent(name: str, value: str) -> bool:
    """Not those of the connection, nor those that hold or name a credential, nor what was masked."""
    name = name.lower()
    if name in CONNECTION_HEADERS or name.startswith(CONNECTION_PREFIXES) or MASKED in value:
        return False
    return not (name in ACCOUNTS or is_credential_header(name) or is_cookie_header(name))
