"""The log of the program itself in a file: our own lines, and what mitmproxy and libraries warn of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from addons.storage.values import iso_time

FILE = "turnpike.log"
OURS = ("addons", "scripts")


class AppLog(logging.Handler):
    """Hands each line on; the thread that logs does not wait for a disk. Masking is the business of the filter at all handlers."""

    def __init__(self, put: Callable[..., None]) -> None:
        """`put(file, *lines)`."""
        super().__init__()
        self._put = put

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:
        """Others' everyday lines name hosts and peers of tunnelled connections too: only what they warn of is kept."""
        if record.levelno < logging.WARNING and record.name.partition(".")[0] not in OURS:
            return False
        return super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        """One line; further ones of a traceback are set in below it."""
        try:
            self.emit_all(record, [record.getMessage()])
        except Exception:
            self.handleError(record)

    def emit_all(self, record: logging.LogRecord, texts: Sequence[str]) -> None:
        """A line for each of the texts, which a record like this one would have had each."""
        head = f"{iso_time(int(record.created * 1000))} {record.levelname.lower()} {record.name}: "
        self._put(FILE, *(head + text.replace("\n", "\n    ") for text in texts))

    def install(self, level: int) -> None:
        """At the root logger, once; of several (a script that is loaded again) the last one counts."""
        root = logging.getLogger()
        for other in [handler for handler in root.handlers if isinstance(handler, AppLog) and handler is not self]:
            root.removeHandler(other)
        self.setLevel(level)
        if self not in root.handlers:
            root.addHandler(self)

    def uninstall(self) -> None:
        """Take it off again."""
        logging.getLogger().removeHandler(self)
