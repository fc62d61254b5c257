"""The line of a call, and many of them at once."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Iterator

import pytest
from mitmproxy.addons.termlog import TermLogHandler
from mitmproxy.log import MitmFormatter

from addons.applog import AppLog
from addons.calllines import call_line, log_lines
from addons.core.call import AttemptRecord, SqlValue, StoredCall
from addons.loglines import DONE, MaskedLines

NOTHING: dict[str, SqlValue] = dict.fromkeys(
    ("response_model", "served_model", "tokens_source", "cost_usd", "input_tokens", "output_tokens", "error")
)
ROW = {
    **NOTHING,
    "id": "ID",
    "upstream": "openai",
    "model": "gpt-4o",
    "api": "openai.chat",
    "status": 200,
    "outcome": "ok",
    "duration_ms": 12.4,
}
USED: dict[str, SqlValue] = {"tokens_source": "reported", "input_tokens": 3, "output_tokens": 4, "cost_usd": 0.5}
FAILED: dict[str, SqlValue] = {
    "outcome": "error",
    "error": "no\nroom" * 100,
    "status": None,
    "upstream": None,
    "duration_ms": None,
    "model": None,
}
LINES = ["one", "two → 2", "three\nin two", "%s {} \x1b[1m", ""]


@pytest.mark.parametrize(
    ("columns", "attempts", "line"),
    [
        ({}, 1, "ID openai gpt-4o 200 ok, tokens unknown, 12 ms"),
        (USED, 1, "ID openai gpt-4o 200 ok, 3→4 tokens $0.500000, 12 ms"),
        (FAILED, 2, "ID - openai.chat None error, tokens unknown, 0 ms, 2 tries: " + ("no\nroom" * 100)[:200]),
        ({"error": "then it was well", "served_model": "served"}, 0, "ID openai served 200 ok, tokens unknown, 12 ms"),
    ],
)
def test_a_line_tells_what_became_of_a_call(columns: dict[str, SqlValue], attempts: int, line: str) -> None:
    """Id, upstream, model, status, outcome, tokens, cost, duration; tries and the error where there is something to tell."""
    tries = tuple(AttemptRecord(n + 1, "openai", "host") for n in range(attempts))
    assert call_line(StoredCall({**ROW, **columns}, tries)) == line


class Plain(logging.Handler):
    """A handler of somebody else: keeps each record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """One that hands nothing to others."""
    logger = logging.getLogger("addons.of_this_test")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def shown(logger: logging.Logger, *, together: bool) -> str:
    if together:
        log_lines(logger, LINES)
    else:
        for line in LINES:
            logger.info("%s", line, extra={DONE: True})
    [handler] = logger.handlers
    assert isinstance(handler, TermLogHandler)
    return re.sub(r"\d\d:\d\d:\d\d\.\d{3}", "TIME", handler.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_a_terminal_shows_them_as_if_each_had_been_logged(colours: bool, masked: bool, logger: logging.Logger) -> None:
    """Byte for byte, with the filter that all handlers have and without."""
    both = []
    for together in (False, True):
        handler = TermLogHandler(io.StringIO())
        handler.formatter = MitmFormatter(colours)
        if masked:
            handler.addFilter(MaskedLines(lambda text: "masked twice"))
        logger.handlers[:] = [handler]
        both.append(shown(logger, together=together))
    assert both[0] == both[1] and both[0].count("TIME") == len(LINES)


def test_the_program_s_own_log_has_them_too(logger: logging.Logger) -> None:
    """As if each had been logged."""
    put: list[tuple[str, ...]] = []
    logger.addHandler(AppLog(lambda *those: put.append(those)))
    log_lines(logger, LINES)
    [together] = put
    for line in LINES:
        logger.info("%s", line, extra={DONE: True})
    alone = [line for _, line in put[1:]]
    assert [line.partition("Z ")[2] for line in together[1:]] == [line.partition("Z ")[2] for line in alone]
    assert together[1].endswith("info addons.of_this_test: one")


def test_other_handlers_get_a_record_each(logger: logging.Logger) -> None:
    """Also the terminal's, where somebody filters it; the levels hold."""
    plain, terminal, quiet = Plain(), TermLogHandler(io.StringIO()), Plain()
    terminal.addFilter(lambda record: record.getMessage() == "one")
    quiet.setLevel(logging.WARNING)
    for handler in (plain, terminal, quiet):
        logger.addHandler(handler)
    log_lines(logger, LINES)
    assert [record.getMessage() for record in plain.records] == LINES and quiet.records == []
    assert {(record.name, record.levelno, getattr(record, DONE)) for record in plain.records} == {(logger.name, logging.INFO, True)}
    assert terminal.file.getvalue().endswith(" one\n")  # type: ignore[attr-defined]
    logger.setLevel(logging.WARNING)
    log_lines(logger, LINES)
    assert len(plain.records) == len(LINES)


def test_what_a_terminal_cannot_show_costs_no_other_line(logger: logging.Logger) -> None:
    """It is written as Python writes it."""
    out = io.BytesIO()
    logger.addHandler(TermLogHandler(io.TextIOWrapper(out, encoding="ascii", write_through=True)))
    log_lines(logger, LINES)
    assert b" one\n" in out.getvalue() and rb"two \u2192 2" in out.getvalue()


def test_a_terminal_that_is_gone_ends_nothing(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler itself would end the thread, which has calls to write."""
    plain, terminal = Plain(), TermLogHandler(io.StringIO())

    def broken(text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(terminal.file, "write", broken)
    monkeypatch.setattr(sys, "exit", lambda code: pytest.fail("ended"))
    logger.addHandler(terminal)
    logger.addHandler(plain)
    log_lines(logger, LINES)
    assert len(plain.records) == len(LINES)
