"""What mitmproxy writes into a flow file is shown to us first."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import cast

import pytest
from mitmproxy import flow, flowfilter, http
from mitmproxy.addons.save import Save
from mitmproxy.io import FilteredFlowWriter, FlowReader, FlowWriter
from mitmproxy.test.tflow import tflow

from addons.proxycore.flowwriting import broken_pins, install


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Other tests' flows are written as they are."""
    before = FlowWriter.add, FilteredFlowWriter.add
    yield
    FlowWriter.add, FilteredFlowWriter.add = before  # type: ignore[method-assign]


def other(original: flow.Flow) -> flow.Flow:
    copy = cast(http.HTTPFlow, original.copy())
    copy.request.path = "/other"
    return copy


def written(file: io.BytesIO) -> list[str]:
    return [cast(http.HTTPFlow, found).request.path for found in FlowReader(io.BytesIO(file.getvalue())).stream()]


def test_the_internals_are_those_that_were_read() -> None:
    """Both writers take a flow, and mitmproxy's `-w` uses them."""
    assert broken_pins() == []


def test_both_writers_write_what_is_shown() -> None:
    """And the flow itself stays as it is; a filter is asked about the flow itself."""
    install(other)
    original, file, filtered = tflow(resp=True), io.BytesIO(), io.BytesIO()
    FlowWriter(file).add(original)
    wanted = flowfilter.parse(f"~u {original.request.path}")
    FilteredFlowWriter(filtered, wanted).add(original)
    FilteredFlowWriter(filtered, flowfilter.parse("~u /other")).add(original)
    assert written(file) == written(filtered) == ["/other"]
    assert original.request.path != "/other"


def test_unfinished_flows_are_shown_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As mitmproxy's Save writes them when it is done."""
    install(other)
    file, save = io.BytesIO(), Save()
    save.stream = FilteredFlowWriter(file, None)
    save.active_flows.add(tflow())
    monkeypatch.setattr(file, "close", lambda: None)
    save.done()
    assert written(file) == ["/other"]


def test_a_flow_that_cannot_be_masked_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    """The log says so, and nothing of what was wrong."""

    def fails(original: flow.Flow) -> flow.Flow:
        raise ValueError("secret")

    install(fails)
    file = io.BytesIO()
    with caplog.at_level(logging.ERROR):
        FlowWriter(file).add(tflow())
        FilteredFlowWriter(file, None).add(tflow())
    assert file.getvalue() == b""
    assert caplog.text.count("ValueError") == 2 and "secret" not in caplog.text


def test_another_mitmproxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a writer takes something else, it is named, and nothing is put in place."""
    before = FilteredFlowWriter.add
    monkeypatch.setattr(FlowWriter, "add", lambda self, f, more: None)
    with pytest.raises(RuntimeError, match=r"FlowWriter\.add"):
        install(other)
    assert FilteredFlowWriter.add is before
