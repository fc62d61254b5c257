"""All of mitmproxy that is replaced by something quicker which does the same, to be put in place and taken away together."""

from __future__ import annotations

import logging

from addons.proxycore import handling, heads, http1, httplayer, shortcuts
from addons.proxycore.pins import put_back, replace_all

GROUPS = (handling.REPLACED, *shortcuts.REPLACED, *heads.REPLACED, http1.REPLACED, httplayer.REPLACED)

logger = logging.getLogger(__name__)


def install() -> None:
    """Put ours in place; what is not as it was read stays mitmproxy's, and a line says so."""
    if left := replace_all(GROUPS):
        logger.warning("this mitmproxy is not the one of 12.2, its own, slower, stay: %s", ", ".join(left))


def uninstall() -> None:
    """Mitmproxy's own again."""
    put_back(GROUPS)
