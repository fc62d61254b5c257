"""What of mitmproxy is replaced, where, and that it can be taken back."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import pytest
from mitmproxy.http import Headers
from mitmproxy.proxy.server import ConnectionHandler

from addons.proxycore import idle, quick
from addons.proxycore.pins import Replacement

EACH = [one for group in quick.GROUPS for one in group]


@pytest.mark.parametrize("one", EACH, ids=lambda one: one.label)
def test_the_internals_are_those_that_were_read(one: Replacement) -> None:
    """An upgrade of mitmproxy that changes one of them fails here: read what has changed, follow it, and note its digest anew."""
    assert one.fits()


@pytest.mark.parametrize("kind", [*idle.NEEDS, *idle.RULES], ids=lambda kind: kind.__name__)
def test_so_are_the_stock_add_ons_that_are_not_asked(kind: type) -> None:
    """As above; each has been read."""
    assert idle.broken_pins(kind) == []
    assert {name for owner in kind.__mro__ for name in idle.READ.get(owner, ())} >= {*idle.NEEDS.get(kind, ("", ()))[1]}


def test_all_is_put_in_place_and_taken_away() -> None:
    """Twice is as good as once: a script may be loaded again."""
    before = [one.stock for one in EACH]
    for _ in range(2):
        quick.install()
        assert [inspect.getattr_static(one.owner, one.name) is one.ours for one in EACH if one.ours] == [True for one in EACH if one.ours]
        assert [one.stock for one in EACH] == before
    quick.uninstall()
    assert [one.stock for one in EACH] == before
    assert not [one.label for one in EACH if one.ours and inspect.getattr_static(one.owner, one.name) is one.ours]
    quick.uninstall()


def test_another_mitmproxy_keeps_its_own(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The whole group in which something differs; the other groups are put in place."""

    async def drain_writers(self: Any) -> None: ...

    quick.uninstall()
    monkeypatch.setattr(ConnectionHandler, "hook_task", drain_writers)
    before = ConnectionHandler.server_event
    with caplog.at_level(logging.WARNING):
        quick.install()
    try:
        assert ConnectionHandler.server_event is before
        assert [record.getMessage() for record in caplog.records] == [
            "this mitmproxy is not the one of 12.2, its own, slower, stay: ConnectionHandler.hook_task"
        ]
        assert Headers.get is not Replacement(Headers, "get", None).stock
    finally:
        quick.uninstall()
