"""What holds for every test: it sees nothing of the environment of whoever starts it, and property tests repeat exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # tests that need no mitmproxy are not made to wait for it
    from tests.rooms import Journey

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


MakeJourney = Callable[..., "Journey"]


@pytest.fixture
def make_journey(tmp_path: Path) -> Iterator[MakeJourney]:
    """The rooms by a configuration and an environment (default: `rooms.UPSTREAMS`, no key), with mitmproxy's options in place."""
    from mitmproxy.test import taddons  # noqa: PLC0415 - as above

    from tests.rooms import UPSTREAMS, Journey, make_state  # noqa: PLC0415

    def make(text: str = UPSTREAMS, environ: Mapping[str, str] | None = None) -> Journey:
        return Journey(make_state(tmp_path, text, environ))

    with taddons.context(loadcore=False) as context:
        context.options.add_option("onboarding_host", str, "mitm.it", "")
        yield make


@pytest.fixture
def journey(make_journey: MakeJourney) -> Journey:
    """The rooms by `rooms.UPSTREAMS`, without a key."""
    return make_journey()
