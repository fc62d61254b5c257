"""Sends stored calls again through the running proxy, and compares."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from addons.config import Config
from addons.core.call import AnswerReading, Headers
from addons.storage.database import StoreError, open_reader
from addons.storage.reading import read_body, read_call
from scripts.callids import whole_id
from scripts.resend import Call, NotSent, Resend, compare, read_answer, resend_of
from scripts.running import load_config, running_proxy

CALL_HEADER = "x-turnpike-call"
TIMEOUT = httpx.Timeout(600, connect=10)
ROW_WITHIN_S = 5.0
"""The proxy writes a row within half a second, unless the disk is slow."""
ROW_POLL_S = 0.05
FIRST_ERROR_STATUS = 400
COLUMNS = "{:<26}  {:<26}  {:<11}  {:<19}  {:<21}  {:<15}  {}"

EPILOG = """\b
Examples:
  turnpike replay 01JD3V8Y6QXKTR0ZB5N4M7WCEF
  turnpike replay --where "tag = 'eval' AND outcome = 'ok'"
  turnpike replay --header 'Authorization: Bearer …' ID ID
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `call_id` is the new call's, None where the answer names none."""

    status: int
    call_id: str | None
    reading: AnswerReading
    duration_ms: float


def _read_header(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> Headers:
    pairs = [(name.strip(), colon, text.strip()) for name, colon, text in (value.partition(":") for value in values)]
    if not all(name and colon for name, colon, _ in pairs):
        raise click.BadParameter("write it as 'Name: value'")
    return tuple((name, text) for name, _, text in pairs)


@click.command("replay", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration.")
@click.option("--database", type=click.Path(dir_okay=False, path_type=Path), help="The captures, where they are elsewhere than configured.")
@click.option("--proxy", metavar="URL", help="The running proxy, where it is not at the configured address.")
@click.option("--header", "headers", multiple=True, callback=_read_header, help="A header to send too, e.g. a credential; may be repeated.")
@click.option("--where", metavar="SQL", help="The calls for which this is true, in the order of time; columns as in the table `calls`.")
@click.argument("ids", nargs=-1, metavar="CALL…")
def command(
    *, config: Path | None, database: Path | None, proxy: str | None, headers: Headers, where: str | None, ids: tuple[str, ...]
) -> None:
    """Sends captured calls again, without the client's credential, and shows what is different.

    The answers are stored as calls of their own, with `replay_of`. Ends with 1 when a call failed or could not be sent.
    """
    if not ids and where is None:
        raise click.UsageError("name the calls: their ids, or --where SQL")
    settings = load_config(config)
    try:
        with closing(open_reader(database or settings.capture.database)) as captures:
            ids = tuple(whole_id(captures, call_id) for call_id in ids)
            ids += tuple(row[0] for row in captures.execute(f"SELECT id FROM calls WHERE ({where}) ORDER BY ts_ms")) if where else ()
            if not ids:
                raise click.ClickException(f"no call matches {where}")
            url = running_proxy(settings, proxy).url
            with httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False) as client:
                failed = Replay(settings, captures, client, headers).run(ids)
    except (StoreError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error
    if failed:
        raise click.exceptions.Exit(1)


class Replay:
    """Sends calls one after the other and prints a line for each."""

    def __init__(self, config: Config, captures: sqlite3.Connection, client: httpx.Client, headers: Headers) -> None:
        self._config = config
        self._captures = captures
        self._client = client
        self._extra = headers

    def run(self, ids: tuple[str, ...]) -> int:
        """How many failed or were not sent."""
        click.echo(COLUMNS.format("call", "replay", "status", "tokens in/out", "cost USD", "duration ms", "answer"))
        return sum(not self._one(call_id) for call_id in ids)

    def _one(self, call_id: str) -> bool:
        try:
            call, request = self._prepare(call_id)
            answer = self._send(request, str(call["api"]))
        except NotSent as reason:
            click.echo(f"{call_id}  not sent: {reason}", err=True)
            return False
        except httpx.HTTPError as error:
            click.echo(f"{call_id}  no whole answer: {type(error).__name__}: {error}", err=True)
            return False
        click.echo(COLUMNS.format(*self._cells(call, answer)).rstrip())
        failed = answer.status >= FIRST_ERROR_STATUS or answer.reading.error is not None  # a stream may end with an error
        if failed:
            click.echo(f"{call_id}  answered with {answer.status}: {answer.reading.error or 'no message'}", err=True)
        return not failed

    def _prepare(self, call_id: str) -> tuple[Call, Resend]:
        call = read_call(self._captures, call_id)
        if call is None:
            raise NotSent("there is no such call in the database")
        return call, resend_of(call, read_body(self._captures, call_id, "request"), self._config, self._extra)

    def _send(self, request: Resend, api: str) -> Answer:
        """Send, and read the answer to its end."""
        begun = time.perf_counter()
        with self._client.stream(request.method, request.path, headers=request.headers, content=request.body) as answer:
            content = answer.read()
        duration_ms = (time.perf_counter() - begun) * 1000
        reading = read_answer(api, answer.status_code, answer.headers.multi_items(), content)
        return Answer(answer.status_code, answer.headers.get(CALL_HEADER), reading, duration_ms)

    def _cells(self, old: Call, answer: Answer) -> Iterator[str]:
        new = self._row_of(answer)
        yield str(old["id"])
        yield answer.call_id or "-"
        yield f"{_shown(old['status'])} → {answer.status}"
        yield f"{_tokens(old)} → {_tokens(new)}"
        yield f"{_shown(old['cost_usd'], '.6f')} → {_shown(new.get('cost_usd'), '.6f')}"
        yield f"{_shown(old['duration_ms'], '.0f')} → {_shown(new['duration_ms'], '.0f')}"
        stored = read_body(self._captures, str(old["id"]), "response")
        status = old["status"]
        yield compare(str(old["api"]), stored, status if isinstance(status, int) else None, answer.reading)

    def _row_of(self, answer: Answer) -> Call:
        """The new call's row; what the answer itself tells where the proxy writes to another database."""
        deadline = time.monotonic() + ROW_WITHIN_S
        while answer.call_id is not None:
            if row := read_call(self._captures, answer.call_id):
                return row
            if time.monotonic() > deadline:
                break
            time.sleep(ROW_POLL_S)
        usage = answer.reading.usage
        return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "duration_ms": answer.duration_ms}


def _tokens(call: Call) -> str:
    return f"{_shown(call['input_tokens'])}/{_shown(call['output_tokens'])}"


def _shown(value: object, form: str = "") -> str:
    return "?" if value is None else format(value, form)
