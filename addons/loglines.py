"""What is logged is masked by the stored profile: our own lines, mitmproxy's, those of libraries, and tracebacks.

At the handlers, since a filter of a logger is not asked for what its children log.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

Mask = Callable[[str], str]

DONE = "turnpike_masked"
"""The attribute of a record that is masked: every handler asks."""


class MaskedLines(logging.Filter):
    """Replaces a record's text by the masked one. A line that can't be masked is replaced too: `mask` may raise anything."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: no line is left out."""
        if not getattr(record, DONE, False):
            setattr(record, DONE, True)
            record.msg, record.args = self._clean(record), ()
            record.exc_info = record.exc_text = record.stack_info = None  # part of the message now
        return True

    def _clean(self, record: logging.LogRecord) -> str:
        try:
            return self._mask(_text(record))
        except Exception as error:  # its own text may hold what is to be hidden
            return f"a line of {record.name} can't be shown: {type(error).__name__}"

    def install(self) -> None:
        """On all handlers of the root logger, also those that came since. Never taken off: others log after us, and what they quote is
        no less secret. Of several (a script that is loaded again) the last one counts."""
        for handler in logging.getLogger().handlers:
            for other in [known for known in handler.filters if isinstance(known, MaskedLines)]:
                handler.removeFilter(other)
            handler.addFilter(self)


def _text(record: logging.LogRecord) -> str:
    pieces = [record.getMessage()]
    if record.exc_info and record.exc_info[0]:
        pieces.append("".join(traceback.format_exception(*record.exc_info)).rstrip())
    elif record.exc_text:
        pieces.append(record.exc_text)
    if record.stack_info:
        pieces.append(record.stack_info)
    return "\n".join(pieces)
