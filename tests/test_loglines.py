"""Every line that a handler shows is masked."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from addons.loglines import MaskedLines


def hide(text: str) -> str:
    return text.replace("geheim", "***")


class Lines(logging.Handler):
    """Keeps what it is given, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def handlers() -> Iterator[list[Lines]]:
    """Two on the root logger."""
    made = [Lines(), Lines()]
    root = logging.getLogger()
    before = {handler: list(handler.filters) for handler in root.handlers}
    stock = logging.getLogger("mitmproxy.proxy.server")  # where Settings of other tests may have left a filter of theirs
    theirs, stock.filters = stock.filters, []
    for handler in made:
        root.addHandler(handler)
    yield made
    for handler in made:
        root.removeHandler(handler)
    stock.filters = theirs
    for old, filters in before.items():
        old.filters = filters


@pytest.mark.parametrize("name", ["addons.meter", "mitmproxy.proxy.server", "asyncio", None])
def test_lines_of_all_loggers(name: str | None, handlers: list[Lines]) -> None:
    """Their text, with what was put into it; every handler shows the same."""
    MaskedLines(hide).install()
    logging.getLogger(name).warning("a %s b %d", "geheim", 5)
    assert handlers[0].lines == handlers[1].lines == ["a *** b 5"]


def test_tracebacks(handlers: list[Lines]) -> None:
    """What an exception says."""
    MaskedLines(hide).install()
    try:
        raise ValueError("it was geheim")
    except ValueError:
        logging.getLogger("addons.x").exception("failed")
    assert "geheim" not in handlers[1].lines[0] and "ValueError: it was ***" in handlers[1].lines[0] and "failed" in handlers[0].lines[0]


def test_a_line_that_cannot_be_masked_is_not_shown(handlers: list[Lines]) -> None:
    """Only that there was one."""

    def fails(text: str) -> str:
        raise RuntimeError(text)

    MaskedLines(fails).install()
    logging.getLogger("addons.x").error("geheim")
    assert handlers[0].lines == ["a line of addons.x can't be shown: RuntimeError"]


def test_the_last_one_counts(handlers: list[Lines]) -> None:
    """A script that is loaded again knows more; asked twice, a line is masked once."""
    MaskedLines(lambda text: "old").install()
    new = MaskedLines(lambda text: f"<{text}>")
    new.install()
    new.install()
    logging.getLogger("addons.x").error("text")
    assert [line for handler in handlers for line in handler.lines] == ["<text>", "<text>"]
