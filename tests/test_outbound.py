"""Calls of our own, against a real provider."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from mitmproxy.test import taddons
from OpenSSL import crypto

from addons.core.attempt import Request
from addons.outbound import Answer, Outbound, Unanswered, url_of
from scripts.fake_provider.server import FakeProvider


@pytest.fixture(autouse=True)
def options() -> Iterator[taddons.context]:
    """mitmproxy's, at their defaults."""
    with taddons.context(loadcore=False) as context:
        yield context


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    made = Outbound()
    yield made
    if closing := made.done():
        await closing


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    provider = FakeProvider()
    await provider.start()
    yield provider
    await provider.stop()


def request(fake: FakeProvider, path: str = "/v1/models", scheme: str = "http", host: str = "127.0.0.1", **knobs: str) -> Request:
    headers = tuple((f"X-Fake-{name}".encode(), value.encode()) for name, value in knobs.items())
    return Request("GET", scheme, host, fake.port, path, headers, None)


async def test_an_answer_comes_whole(outbound: Outbound, fake: FakeProvider) -> None:
    """Decoded; one that is refused is an answer too. The connection is used again."""
    answer = await outbound.get(request(fake, Gzip="1"), 5, 100_000)
    assert answer.status == 200
    assert answer.body.startswith(b"{")
    assert answer.whole
    assert (await outbound.get(request(fake, Status="429"), 5, 100_000)).status == 429
    assert len({seen.connection for seen in fake.requests}) == 1


async def test_a_long_answer_is_cut(outbound: Outbound, fake: FakeProvider) -> None:
    """At the limit, and not read on: it may be endless."""
    answer = await outbound.get(request(fake), 5, 10)
    assert (answer.status, len(answer.body), answer.whole) == (200, 10, False)
    assert (await outbound.get(request(fake), 5, 100_000)).whole


async def test_no_redirect_is_followed(outbound: Outbound, fake: FakeProvider) -> None:
    """It could lead the key elsewhere."""
    elsewhere = f"Location: {fake.url}/v1/other"
    assert (await outbound.get(request(fake, Status="302", Header=elsewhere), 5, 1000)).status == 302
    assert [seen.path for seen in fake.requests] == ["/v1/models"]


async def test_what_takes_too_long_is_a_timeout(outbound: Outbound, fake: FakeProvider) -> None:
    """Also where the headers came in time."""
    for knobs in ({"Hang": "1"}, {"Chunks": "50", "Delay": "1"}):
        with pytest.raises(Unanswered, match=r"no answer within 0\.05 s") as caught:
            await outbound.get(request(fake, **knobs), 0.05, 100_000)
        assert caught.value.why == "timeout"


async def test_nobody_there(outbound: Outbound, fake: FakeProvider) -> None:
    """Refused, reset, a name that resolves nowhere."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = Request("GET", "http", "127.0.0.1", taken.getsockname()[1], "/", (), None)
        for asked in (refused, request(fake, Reset="1"), request(fake, host="no-such-host.invalid")):
            with pytest.raises(Unanswered) as caught:
                await outbound.get(asked, 5, 1000)
            assert caught.value.why == "connect"


async def test_what_went_wrong_quotes_nothing_that_was_sent(outbound: Outbound, fake: FakeProvider) -> None:
    """A header that can't be sent, say."""
    with pytest.raises(Unanswered) as caught:
        await outbound.get(Request("GET", "http", "127.0.0.1", fake.port, "/", ((b"Authorization", b"one\ntwo"),), None), 5, 1000)
    assert "one" not in str(caught.value).replace("connection", "")


async def test_the_environments_proxies_are_not_used(outbound: Outbound, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may well be this very proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await outbound.get(request(fake), 5, 100_000)).status == 200


@pytest.mark.parametrize("option", ["ssl_verify_upstream_trusted_ca", "ssl_verify_upstream_trusted_confdir", "ssl_insecure"])
async def test_whom_mitmproxy_trusts_is_trusted(option: str, options: taddons.context, tmp_path: Path) -> None:
    """By its own options; by default, the public authorities."""
    fake, outbound, trusting = FakeProvider(folder=tmp_path), Outbound(), Outbound()
    await fake.start(tls=True)
    assert fake.ca_file
    subject = crypto.load_certificate(crypto.FILETYPE_PEM, fake.ca_file.read_bytes()).subject_name_hash()
    shutil.copy(fake.ca_file, tmp_path / f"{subject:08x}.0")  # as OpenSSL finds certificates in a folder
    values = {
        "ssl_verify_upstream_trusted_ca": str(fake.ca_file),
        "ssl_verify_upstream_trusted_confdir": str(tmp_path),
        "ssl_insecure": True,
    }
    try:
        with pytest.raises(Unanswered, match="certificate verify failed") as caught:
            await outbound.get(request(fake, scheme="https"), 5, 100_000)
        assert caught.value.why == "connect"
        options.options.update(**{option: values[option]})
        assert (await trusting.get(request(fake, scheme="https"), 5, 100_000)).status == 200
    finally:
        await asyncio.gather(*(closing for each in (outbound, trusting) if (closing := each.done())))
        await fake.stop()


def test_an_address_in_ipv6_stands_in_brackets() -> None:
    """RFC 3986 §3.2.2."""
    assert url_of(Request("GET", "http", "::1", 8000, "/v1/models?x=1", (), None)) == "http://[::1]:8000/v1/models?x=1"
    assert url_of(Request("GET", "https", "h", 443, "/", (), None)) == "https://h:443/"


async def test_it_makes_no_lines_in_the_log(outbound: Outbound, fake: FakeProvider, caplog: pytest.LogCaptureFixture) -> None:
    """httpx has one for each request."""
    with caplog.at_level(logging.DEBUG):
        assert isinstance(await outbound.get(request(fake), 5, 100_000), Answer)
    assert not [record for record in caplog.records if record.name.startswith(("httpx", "httpcore"))]


async def test_it_closes_when_mitmproxy_is_done(fake: FakeProvider) -> None:
    """What was never used has nothing to close."""
    outbound = Outbound()
    assert outbound.done() is None
    await outbound.get(request(fake), 5, 100_000)
    closing = outbound.done()
    assert closing
    await closing
    assert outbound.done() is None
