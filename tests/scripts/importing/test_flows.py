"""mitmproxy's flow files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from mitmproxy.test import tflow

from addons.core.captured import decoded
from scripts.importing.entry import BrokenEntry, Entry
from scripts.importing.flows import cut, read
from tests.scripts.importing.samples import STREAM, flow, save_flows


def entries(path: Path) -> list[Entry | None]:
    return [read(raw) for _, raw in cut(path.read_bytes())]


def test_a_flow_is_a_record(tmp_path: Path) -> None:
    """Address, times and bodies as they crossed the wire."""
    compressed = gzip.compress(STREAM)
    path = save_flows(
        tmp_path / "flows", flow(content=compressed, headers={"Content-Encoding": "gzip", "Content-Type": "text/event-stream"})
    )
    (entry,) = entries(path)
    assert entry is not None
    record = entry.record
    assert (record.method, record.host, record.path) == ("POST", "api.openai.com", "/v1/chat/completions")
    assert (record.started_ms, record.status, record.outcome) == (1_772_359_200_000, 200, "ok")
    assert record.ttfb_ms == pytest.approx(400)
    assert record.duration_ms == pytest.approx(1000)
    assert (record.response.content, record.response.size) == (compressed, len(compressed))
    assert decoded(record.response) == STREAM


def test_a_streamed_body_is_a_cut_one(tmp_path: Path) -> None:
    """mitmproxy keeps nothing of it; its size is what its header says."""
    streamed = flow()
    assert streamed.response
    streamed.response.raw_content = None
    streamed.response.headers["content-length"] = "1234"
    (entry,) = entries(save_flows(tmp_path / "flows", streamed))
    assert entry is not None
    assert entry.record.response.truncated
    assert entry.given.columns == {"response_bytes": 1234}


def test_ends_of_calls(tmp_path: Path) -> None:
    """Refused connections, answers that broke off, flows saved while they ran."""
    broken, running = flow(), flow()
    assert running.response
    broken.error = tflow.terr("reset")
    running.response.timestamp_end = None
    found = entries(save_flows(tmp_path / "flows", tflow.tflow(err=True), broken, running))
    ends = [(entry.record.outcome, entry.record.error_type) for entry in found if entry]
    assert ends == [("error", "connect"), ("partial", "stream"), ("partial", "stream")]


def test_websocket_messages_are_lines(tmp_path: Path) -> None:
    """One side each."""
    (entry,) = entries(save_flows(tmp_path / "flows", tflow.twebsocketflow()))
    assert entry is not None
    assert entry.record.request.content == b"hello binary\nhello text\n"
    assert entry.record.response.content == b"it's me\n"


def test_other_flows_are_none(tmp_path: Path) -> None:
    """TCP, UDP, DNS, and the opening of a tunnel."""
    tunnel = flow()
    tunnel.request.method = "CONNECT"
    path = save_flows(tmp_path / "flows", tflow.ttcpflow(), tflow.tudpflow(), tflow.tdnsflow(), tunnel)
    assert entries(path) == [None, None, None, None]


def test_a_flow_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    """The frames around it are whole."""
    content = save_flows(tmp_path / "flows", flow(), flow()).read_bytes()
    end = next(iter(cut(content)))[0]
    for broken in (b"3:abc}", b"4:true!", b"0:}", b"6:1:a,1#}"):
        pieces = [raw for _, raw in cut(content[:end] + broken + content[end:])]
        assert [read(pieces[0]) is None, read(pieces[2]) is None] == [False, False]
        with pytest.raises(BrokenEntry):
            read(pieces[1])


@pytest.mark.parametrize("end", [b"12:cut", b"no frame", b"99"])
def test_where_no_frame_follows_the_rest_is_lost(tmp_path: Path, end: bytes) -> None:
    """It is said, after what was whole."""
    pieces = cut(save_flows(tmp_path / "flows", flow()).read_bytes() + end)
    next(pieces)
    with pytest.raises(BrokenEntry):
        next(pieces)
