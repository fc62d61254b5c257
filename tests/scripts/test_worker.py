"""One of several proxies: its command line. `tests/e2e/test_workers.py` starts real ones."""

from __future__ import annotations

import sys

import pytest

from addons.proxycore import reuseport
from scripts.worker import as_worker, main


def test_a_command_becomes_that_of_a_worker() -> None:
    """mitmproxy's own, or a module with Python's options before it."""
    assert as_worker(["/x/mitmdump", "-s", "a"]) == [sys.executable, "-m", "scripts.worker", "mitmdump", "-s", "a"]
    assert as_worker(["py", "-O", "-m", "scripts.serve", "-s"]) == ["py", "-O", "-m", "scripts.worker", "scripts.serve", "-s"]


def test_what_can_not_share_a_port_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything listens."""
    monkeypatch.setattr(reuseport, "broken_pins", lambda: ["it has changed"])
    with pytest.raises(SystemExit, match="turnpike: this mitmproxy can't share a port"):
        main(["mitmdump"])
