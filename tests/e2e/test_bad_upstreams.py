"""Upstreams that do not keep to HTTP, and answers that are no calls: nothing crashes, and the client is told in its own words."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import httpx
import pytest

from scripts.fake_provider.server import FakeProvider
from tests.e2e.harness import Turnpike, scripted_server

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def config(port: int, path: str = "/v1") -> dict[str, object]:
    """One upstream, which is no provider at all."""
    return {"version": 1, "upstreams": {"odd": {"provider": "openai", "base_url": f"http://127.0.0.1:{port}{path}", "default": True}}}


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage sk-0123456789abcdef\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
    ids=["no status", "no length", "two lengths", "cut headers"],
)
def test_an_answer_that_is_no_http(answer: bytes, tmp_path: Path) -> None:
    """502 in the client's dialect on a connection that lives on, one row with the failure's class, and no traceback."""
    with scripted_server(answer) as server, Turnpike(tmp_path, config(server.port)) as turnpike, turnpike.client() as client:
        for _ in range(2):
            got = client.post(f"{turnpike.base_url}/v1/chat/completions", json=CHAT)
            assert (got.status_code, got.json()["error"]["code"]) == (502, "upstream_unreachable")
        rows = turnpike.wait_rows(2)
        assert {(row["status"], row["outcome"], row["attempts"]) for row in rows} == {(502, "error", 1)}
        assert turnpike.query("select distinct failure from attempts") == [{"failure": "connect"}]
        output = turnpike.output()
    assert "Traceback" not in output and "crashed" not in output


def test_a_side_call_is_passed_as_it_comes(fake: FakeProvider, tmp_path: Path) -> None:
    """Below the upstream's own path, chunk by chunk: an endless one would never end in a buffer."""
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    with scripted_server(endless) as server, Turnpike(tmp_path, config(server.port, "/llm/v1")) as turnpike:
        with turnpike.client() as client, client.stream("GET", f"{turnpike.base_url}/odd/v1/events") as answer:
            assert next(answer.iter_raw()) == b"first"
        assert server.requests[0].startswith(b"GET /llm/v1/events ")


def test_a_side_call_to_a_bad_upstream(tmp_path: Path) -> None:
    """It is no call of ours, so mitmproxy's own answer stands; nothing crashes."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"
    with scripted_server(answer) as server, Turnpike(tmp_path, config(server.port)) as turnpike, turnpike.client() as client:
        assert client.get(f"{turnpike.base_url}/odd/v1/events").status_code == 502
        output = turnpike.output()
    assert "Traceback" not in output and "crashed" not in output


def test_head_has_no_body(fake: FakeProvider, tmp_path: Path) -> None:
    """On our own answers; a body would be read as the next answer of that connection."""
    with Turnpike(tmp_path, config(1)) as turnpike, turnpike.client() as client:
        address = turnpike.base_url.removesuffix("/proxy")
        for path in ("/healthz", "/nothing", "/proxy/v1/upstreams"):
            head = client.head(address + path)
            assert (head.content, int(head.headers["content-length"]) > 0) == (b"", True)
        assert client.get(f"{address}/healthz").json() == {"status": "ok"}


async def test_many_streams_of_one_http2_client(fake: FakeProvider, tmp_path: Path) -> None:
    """Twelve calls on one connection to an HTTP/1 upstream run at once: stock mitmproxy opens five connections, the sixth waits."""
    upstreams = {"openai": {"hosts": ["api.openai.com"], "base_url": f"{fake.url}/v1"}}
    with Turnpike(tmp_path, {"version": 1, "upstreams": upstreams}, trusted_ca=fake.ca_file) as turnpike:
        started = time.time_ns() // 1_000_000
        verify = ssl.create_default_context(cafile=turnpike.ca_file)
        async with httpx.AsyncClient(http2=True, proxy=turnpike.proxy_url, verify=verify, timeout=30) as client:
            body = CHAT | {"model": "gpt-4o-mini@fake:first_byte=0.7"}
            url = "https://api.openai.com/v1/chat/completions"
            answers = await asyncio.gather(*(client.post(url, json=body) for _ in range(12)))
        assert {answer.status_code for answer in answers} == {200}
        rows = turnpike.wait_rows(12)
    assert min(row["ts_ms"] for row in rows) >= started
    assert max(row["ts_ms"] for row in rows) < min(row["ts_ms"] + row["duration_ms"] for row in rows)
    assert max(row["duration_ms"] for row in rows) < 2 * min(row["duration_ms"] for row in rows)  # none waited for another to end
