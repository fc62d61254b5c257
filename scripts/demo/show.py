"""Starts a provider, the proxy and Datasette, sends the sample traffic, says where to look, and ends it all."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from pathlib import Path

import click

from addons.storage.database import open_reader
from scripts.demo.samples import failures, lanes
from scripts.demo.stage import Stage, clean_environment, open_stage, shown
from scripts.demo.traffic import Traffic
from scripts.fake_provider.server import FakeProvider
from scripts.launch import BROWSE_PORT, Proxy, program, start_both, where_to_look
from scripts.running import free_port
from scripts.supervisor import Ended, Supervisor

HOST = "127.0.0.1"
PORT = 8080
WRITTEN_WITHIN_S = 5.0
POLL_S = 0.05


async def run(host: str | None, port: int | None, extra: tuple[str, ...]) -> int:
    """Until Ctrl-C; the exit status. A port that was asked for must be free, the usual one gives way to a free one."""
    with open_stage() as stage:
        host = host or HOST
        provider = FakeProvider()
        await provider.start()
        try:
            config = stage.configure(provider.url, host, port or free_port(host, PORT if stage.is_first else 0))
            limited = config.secrets["openai"][0].value
            provider.knobs.set(limited, {"status": 429, "retry_after": 60}, times=1)  # so that a call is seen to go on with the next key
            quiet = ("--set", "termlog_verbosity=warn", "--set", f"confdir={stage.confdir}")
            proxy = Proxy(config, host, config.proxy.port, (*quiet, *extra))
            proxy.check()
            status = await _play(proxy, stage)
        finally:
            await provider.stop()
        click.echo(f"\nStopped. The calls stay in {shown(stage.database)} until the next demo.")
        return status


async def _play(proxy: Proxy, stage: Stage) -> int:
    async with Supervisor() as supervisor:
        try:
            click.echo("Starting a provider, the proxy and Datasette …")
            datasette = await start_both(supervisor, proxy, stage.database, clean_environment(), BROWSE_PORT if stage.is_first else 0)
            await supervisor.alive(_send_all(proxy, stage.database))
            click.echo(_guide(proxy, stage, datasette))
            return await supervisor.wait()
        except Ended as ended:
            return ended.status


async def _send_all(proxy: Proxy, database: Path) -> None:
    good, bad = lanes(), failures()
    total = sum(map(len, good)) + len(bad)
    begun = time.monotonic()
    async with Traffic(proxy.address.url, proxy.config.proxy.prefix, proxy.ca) as traffic:
        with click.progressbar(length=total, label=f"Sending {total} calls") as bar:
            await traffic.send_all(good, lambda: bar.update(1))
            await traffic.send_all([bad], lambda: bar.update(1))
    written = await asyncio.to_thread(_written, database, total)
    for line in [*traffic.unexpected, *([] if written == total else [f"{written} of {total} calls are in the database"])]:
        click.echo(f"unexpected: {line}", err=True)
    click.echo(f"{total} calls in {time.monotonic() - begun:.1f} s, {len(bad)} of them meant to fail")


def _written(database: Path, expected: int) -> int:
    """How many calls are in the database, as soon as there are that many, or after WRITTEN_WITHIN_S."""
    deadline = time.monotonic() + WRITTEN_WITHIN_S
    with closing(open_reader(database)) as captures:
        while True:
            count = int(captures.execute("SELECT count(*) FROM calls").fetchone()[0])
            if count >= expected or time.monotonic() > deadline:
                return count
            time.sleep(POLL_S)


def _guide(proxy: Proxy, stage: Stage, datasette: str) -> str:
    url, ca = proxy.address.url, shown(proxy.ca)
    turnpike, config = shown(Path(program("turnpike"))), proxy.config.source
    ask = """-H 'Content-Type: application/json' -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'"""
    return f"""
Look at the calls:   {datasette}?range=15m

{where_to_look(proxy)}

Send more (it is written within half a second):
  curl {url}{proxy.config.proxy.prefix}/v1/chat/completions {ask}
  curl --proxy {url} --cacert {ca} https://api.openai.com/v1/chat/completions {ask}
  {turnpike} exec --proxy {url} --confdir {shown(stage.confdir)} -- curl https://api.openai.com/v1/chat/completions {ask}
  {turnpike} replay --config {config} --where "tag = 'support'"

Ctrl-C ends it."""
