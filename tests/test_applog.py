"""The program's own log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from addons.applog import FILE, AppLog
from addons.loglines import MaskedLines

Lines = list[tuple[str, str]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What a handler that is installed puts into files."""
    put: Lines = []
    handler = AppLog(lambda name, line: put.append((name, line)))
    handler.install(logging.INFO)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    yield put
    root.setLevel(level)
    for found in [found for found in root.handlers if isinstance(found, AppLog)]:
        found.uninstall()


def test_our_lines_and_others_warnings(lines: Lines) -> None:
    """With their time, level and origin; what mitmproxy says of every day is left out, and so is what is below the level."""
    logging.getLogger("addons.settings").info("one of %s", "ours")
    logging.getLogger("addons.settings").debug("too quiet")
    logging.getLogger("mitmproxy.proxy.server").info("client connect")
    logging.getLogger("mitmproxy.addons").warning("careful")
    assert [name for name, _ in lines] == [FILE, FILE]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z info addons\.settings: one of ours", lines[0][1])
    assert lines[1][1].endswith(" warning mitmproxy.addons: careful")


def test_they_are_masked_with_their_tracebacks(lines: Lines) -> None:
    """By the filter that all handlers get; further lines are set in."""
    MaskedLines(lambda text: text.replace("hunter2", "***")).install()
    try:
        raise ValueError("hunter2")
    except ValueError:
        logging.getLogger("addons.x").exception("with hunter2")
    assert "hunter2" not in lines[0][1]
    first, *rest = lines[0][1].splitlines()
    assert first.endswith("addons.x: with ***")
    assert rest and all(line.startswith("    ") for line in rest)


def test_the_last_one_counts(lines: Lines) -> None:
    """A script that is loaded again logs no line twice."""
    later: Lines = []
    handler = AppLog(lambda name, line: later.append((name, line)))
    handler.install(logging.INFO)
    handler.install(logging.ERROR)
    logging.getLogger("addons.x").warning("quiet")
    logging.getLogger("addons.x").error("loud")
    assert (len(lines), len(later)) == (0, 1)
