"""What holds for every test: it sees nothing of the environment of whoever starts it, and property tests repeat exactly."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# On a busy machine a slow example is no error; the same examples each time, so that a red test stays red.
settings.register_profile("turnpike", deadline=None, derandomize=True, database=None)
settings.load_profile("turnpike")

FOREIGN = ("_proxy", "_api_key", "_base_url", "_auth_token")
"""Ends of the names (in lower case) of variables that would lead a client or the proxy elsewhere."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, key or Turnpike setting of the user's own reaches a test or a process that it starts."""
    for name in os.environ:
        if name.lower().endswith(FOREIGN) or name.startswith("TURNPIKE_"):
            monkeypatch.delenv(name)
