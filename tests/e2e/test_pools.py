"""Pools and routes of one proxy, for real: limits of keys, what outlives a restart, many calls at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.e2e.harness import PrefersHttp2, Turnpike, new_key, refusing_port, wait_for

CALL = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "one two three"}]}
CHAT = "/v1/chat/completions"


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with running_fake_provider() as provider:
        yield provider


def upstream(fake: FakeProvider, *variables: str, **more: Any) -> dict[str, Any]:
    return {"provider": "openai", "base_url": f"{fake.url}/v1", "keys": [{"env": name} for name in variables], **more}


def post(turnpike: Turnpike, name: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{turnpike.base_url}/{name}{CHAT}", json=CALL, headers=headers, timeout=30)


def attempts(turnpike: Turnpike, call_id: str) -> list[tuple[Any, ...]]:
    rows = turnpike.query("select upstream, status, failure from attempts where call_id = ? order by n", call_id)
    return [tuple(row.values()) for row in rows]


def test_a_refused_upstream_is_left_for_the_next(fake: FakeProvider, tmp_path: Path) -> None:
    """And after three refusals nobody is sent there any more, until its breaker lets one try."""
    with refusing_port() as port:
        config = {
            "version": 1,
            "upstreams": {
                "gone": upstream(fake, "K0") | {"base_url": f"http://127.0.0.1:{port}/v1"},
                "there": upstream(fake, "K1"),
            },
            "routes": [{"match": {"upstream": "gone"}, "to": [{"upstream": "gone"}, {"upstream": "there"}]}],
        }
        with Turnpike(tmp_path, config, env={"K0": new_key(), "K1": new_key()}) as turnpike:
            answers = [post(turnpike, "gone") for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200] * 4
            rows = [turnpike.wait_row(answer.headers["x-turnpike-call"]) for answer in answers]
            ready = httpx.get(f"{turnpike.proxy_url}/ready").json()
    refused, good = ("gone", None, "connect"), ("there", 200, None)
    assert [attempts(turnpike, row["id"]) for row in rows] == [[refused, good]] * 3 + [[good]]
    assert "breaker is open" in rows[3]["decision"]
    assert "open" in str(ready["upstreams"]["gone"])


def test_what_cools_outlives_a_restart(fake: FakeProvider, tmp_path: Path) -> None:
    """Cooldowns, lock-outs and breakers: after kill -9 and a new start nobody asks the cooled and the locked key."""
    keys = [new_key() for _ in range(3)]
    fake.knobs.set(keys[0], {"status": 429, "retry_after": 120})
    fake.knobs.set(keys[1], {"status": 401})
    config = {"version": 1, "upstreams": {"one": upstream(fake, "K0", "K1", "K2", rotation="sequential")}}
    turnpike = Turnpike(tmp_path, config, env={f"K{n}": key for n, key in enumerate(keys)})
    with turnpike:
        assert post(turnpike, "one").status_code == 200
        assert [seen.key for seen in fake.requests] == keys
        wait_for(lambda: state_rows(turnpike) == 2, "both in state.db")
        turnpike.kill()
    fake.clear()
    with turnpike:
        assert post(turnpike, "one").status_code == 200
        assert [seen.key for seen in fake.requests] == [keys[2]]
        kept = httpx.get(f"{turnpike.base_url}/v1/quota-stats").text
    assert not any(key in kept + turnpike.output() for key in keys)
    assert not any(key.encode() in path.read_bytes() for key in keys for path in tmp_path.glob("state.db*"))


def state_rows(turnpike: Turnpike) -> int:
    import sqlite3  # noqa: PLC0415 - for this one look

    path = turnpike.folder / "state.db"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute("select count(*) from cooldowns").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def test_a_keys_limit_is_kept(fake: FakeProvider, tmp_path: Path) -> None:
    """`max_concurrent`: never more at once, whoever waits goes on as soon as one has ended, and all are served."""
    key = new_key()
    fake.knobs.set(key, {"first_byte": 0.1})
    config = {"version": 1, "upstreams": {"one": upstream(fake) | {"keys": [{"env": "K0", "max_concurrent": 3}]}}}
    with Turnpike(tmp_path, config, env={"K0": key}) as turnpike:

        async def burst() -> list[int]:
            async with httpx.AsyncClient(timeout=30) as client:
                calls = [client.post(f"{turnpike.base_url}/one{CHAT}", json=CALL) for _ in range(15)]
                return [answer.status_code for answer in await asyncio.gather(*calls)]

        assert asyncio.run(burst()) == [200] * 15
        rows = turnpike.wait_rows(15)
    assert fake.peak == 3
    assert [row["attempts"] for row in rows] == [1] * 15
    waits = turnpike.query("select wait_ms from attempts order by wait_ms")
    assert waits[0]["wait_ms"] == 0
    assert waits[-1]["wait_ms"] >= 300


def test_parallel_streams_of_an_http2_client_all_run_at_once(tmp_path: Path) -> None:
    """Ten streams of one HTTP/2 connection over an HTTP/1 upstream (mitmproxy itself lets five pass)."""
    with running_fake_provider(tls=True) as fake:
        config = {"version": 1, "upstreams": {"one": upstream(fake, "K0", hosts=["llm.test"])}}
        with Turnpike(tmp_path, config, env={"K0": new_key()}, trusted_ca=fake.ca_file) as turnpike:

            async def burst() -> tuple[list[int], set[str]]:
                import ssl  # noqa: PLC0415

                context = ssl.create_default_context(cafile=turnpike.ca_file)
                context.__class__ = PrefersHttp2
                async with httpx.AsyncClient(proxy=turnpike.proxy_url, verify=context, http2=True, timeout=30) as client:
                    headers = {"X-Fake-First-Byte": "1"}
                    calls = [client.post(f"https://llm.test{CHAT}", json=CALL, headers=headers) for _ in range(10)]
                    answers = await asyncio.gather(*calls)
                    return [answer.status_code for answer in answers], {answer.http_version for answer in answers}

            begun = time.monotonic()
            assert asyncio.run(burst()) == ([200] * 10, {"HTTP/2"})
            assert time.monotonic() - begun < 4
        assert fake.peak == 10


def test_a_long_body_is_not_held_and_not_retried(fake: FakeProvider, tmp_path: Path) -> None:
    """Above `max_held_body` the client gets the 500 at once, as it came."""
    key = new_key()
    fake.knobs.set(key, {"status": 500})
    config = {"version": 1, "proxy": {"max_held_body": "100 kB"}, "upstreams": {"one": upstream(fake, "K0", "K1")}}
    with Turnpike(tmp_path, config, env={"K0": key, "K1": new_key()}) as turnpike:
        long = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * 200_000}]}
        answer = httpx.post(f"{turnpike.base_url}/one{CHAT}", json=long, timeout=30)
        row = turnpike.wait_row(answer.headers["x-turnpike-call"])
    assert (answer.status_code, row["attempts"], len(fake.requests)) == (500, 1, 1)


def test_a_conversation_stays_on_its_key(fake: FakeProvider, tmp_path: Path) -> None:
    """Where the prompt cache lives: turns that follow an answer go to the key of the first, first turns take turns."""
    keys = [new_key() for _ in range(4)]
    config = {"version": 1, "upstreams": {"one": upstream(fake, "K0", "K1", "K2", "K3", rotation="round_robin")}}
    with Turnpike(tmp_path, config, env={f"K{n}": key for n, key in enumerate(keys)}) as turnpike:
        messages: list[Any] = [{"role": "user", "content": "turn 0"}]
        for turn in range(1, 4):
            answer = httpx.post(f"{turnpike.base_url}/one{CHAT}", json={"model": "gpt-4o-mini", "messages": messages}, timeout=30)
            turnpike.wait_row(answer.headers["x-turnpike-call"])  # the answer has been learnt by then
            messages += [answer.json()["choices"][0]["message"], {"role": "user", "content": f"turn {turn}"}]
            post(turnpike, "one")
        sent = [seen.key for seen in fake.requests]
    assert sent[0::2] == [sent[0]] * 3
    assert len(set(sent[1::2])) == 3
