"""The line per call in the log of the program.

All lines of a commit are logged at once: a record each, taken through every handler, would cost as much as storing the call.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mitmproxy.addons.termlog import TermLogHandler
from mitmproxy.log import MitmFormatter

from addons.applog import AppLog
from addons.core.call import StoredCall
from addons.loglines import DONE, MaskedLines

ERROR_CHARACTERS = 200
_TEXT = "\0text\0"
"""Stands where a line's text will."""


def call_line(call: StoredCall) -> str:
    """Of columns that are masked already."""
    row = call.row
    tokens = f"{row['input_tokens']}→{row['output_tokens']} tokens" if row.get("tokens_source") else "tokens unknown"
    cost = f" ${row['cost_usd']:.6f}" if row.get("cost_usd") is not None else ""
    model = row.get("response_model") or row.get("served_model") or row.get("model") or row.get("api")
    tries = f", {len(call.attempts)} tries" if len(call.attempts) > 1 else ""
    why = f": {str(row.get('error'))[:ERROR_CHARACTERS]}" if row.get("error") and row.get("outcome") != "ok" else ""
    took = f"{row['duration_ms'] or 0:.0f} ms"
    return f"{row['id']} {row['upstream'] or '-'} {model} {row['status']} {row['outcome']}, {tokens}{cost}, {took}{tries}{why}"


def log_lines(logger: logging.Logger, lines: Sequence[str]) -> None:
    """What `logger.info(line, extra={DONE: True})` would do for each of them: lines that are masked already."""
    handlers = shown_by(logger)
    if not lines or not handlers:
        return
    record = logger.makeRecord(logger.name, logging.INFO, __file__, 0, "", (), None, extra={DONE: True})
    for handler in handlers:
        _show(handler, record, lines)


def shown_by(logger: logging.Logger) -> list[logging.Handler]:
    """All that would show such a line of this logger: where there are none it need not be made."""
    found: list[logging.Handler] = []
    asked: logging.Logger | None = logger if logger.isEnabledFor(logging.INFO) else None
    while asked:
        found += [handler for handler in asked.handlers if handler.level <= logging.INFO]
        asked = asked.parent if asked.propagate else None
    return found


def _show(handler: logging.Handler, record: logging.LogRecord, lines: Sequence[str]) -> None:
    """The two that show every line of every run take them together; others, and those that somebody filters, take a record each."""
    if all(isinstance(known, MaskedLines) for known in handler.filters):
        if isinstance(handler, AppLog):
            if handler.filter(record):
                handler.emit_all(record, lines)
            return
        if type(handler) is TermLogHandler and type(handler.formatter) is MitmFormatter:
            if handler.filter(record):
                _print(handler, record, lines)
            return
    for line in lines:
        handler.handle(_with_text(record, line))


def _print(handler: TermLogHandler, record: logging.LogRecord, lines: Sequence[str]) -> None:
    """A terminal that is gone costs nothing but its lines: the handler itself would end the thread."""
    before, _, after = handler.format(_with_text(record, _TEXT)).partition(_TEXT)
    text = "".join([f"{before}{line}{after}\n" for line in lines])
    handler.acquire()
    try:
        handler.file.write(text)
    except UnicodeError:
        encoding = getattr(handler.file, "encoding", None) or "ascii"
        handler.file.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except OSError:
        return
    finally:
        handler.release()


def _with_text(record: logging.LogRecord, text: str) -> logging.LogRecord:
    return logging.makeLogRecord({**record.__dict__, "msg": text})
