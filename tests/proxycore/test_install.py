"""What of mitmproxy is replaced, and that this mitmproxy is the one that was read."""

from __future__ import annotations

import pytest
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream
from mitmproxy.proxy.server import ConnectionHandler

from addons.proxycore.install import RESTS_ON, broken_pins, install


def test_the_internals_are_those_that_were_read() -> None:
    """This mitmproxy has the methods that our stream overrides."""
    assert broken_pins() == []


def test_another_mitmproxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a method takes other parameters, `install` says which and puts nothing in place."""
    monkeypatch.setattr(HttpStream, "send_response", lambda self: None)
    before = HttpLayer.make_stream
    with pytest.raises(RuntimeError, match=r"HttpStream\.send_response"):
        install()
    assert HttpLayer.make_stream is before


@pytest.mark.parametrize("owner", RESTS_ON, ids=lambda owner: owner.__name__)
def test_each_pin_holds(owner: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that is gone, or takes something else, is named."""
    for name in RESTS_ON[owner]:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, lambda self, other: None)
            assert [line for line in broken_pins() if line.startswith(f"{owner.__name__}.{name} ")]


def test_installing_twice_changes_nothing() -> None:
    """A script may be loaded again."""
    install()
    before = HttpLayer.make_stream, HttpLayer.get_connection, ConnectionHandler.__init__, ConnectionHandler.wakeup
    install()
    assert (HttpLayer.make_stream, HttpLayer.get_connection, ConnectionHandler.__init__, ConnectionHandler.wakeup) == before
