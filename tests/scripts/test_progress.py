"""A bar for what takes long."""

from __future__ import annotations

import io
import sys

import pytest

from scripts import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("quiet_s", "stream", "shown"), [(60.0, Terminal(), False), (-1.0, Terminal(), True), (-1.0, io.StringIO(), False)]
)
def test_a_bar_is_shown_on_a_terminal_only_and_not_at_once(
    monkeypatch: pytest.MonkeyPatch, quiet_s: float, stream: io.StringIO, shown: bool
) -> None:
    """What is done within a second shows none."""
    monkeypatch.setattr(progress, "QUIET_S", quiet_s)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.progress("keys", 100) as advance:
        advance(40)
        advance(100)
    assert ("keys" in stream.getvalue() and "100%" in stream.getvalue()) == shown
    assert shown or not stream.getvalue()
