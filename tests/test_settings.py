"""The configuration taken into use, mitmproxy's options set by it, and both again when the file changes."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import ctx
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.test import taddons

from addons.config import Config
from addons.core.call import StoredCall
from addons.proxycore.install import make_stream
from addons.settings import NOISE, Settings
from addons.state import State
from tests.conftest import MakeJourney
from tests.rooms import UPSTREAMS, mitmproxy_context, new_key, running_proxy

Start = Callable[..., Settings]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "turnpike.yml"
    path.write_text(text(tmp_path))
    return path


def text(folder: Path, more: str = "") -> str:
    own = f"capture: {{database: {folder / 'turnpike.db'}}}\nstate: {{url: 'sqlite:{folder / 'state.db'}'}}\n"
    more = more if "logs: {" in more else f"{more}\nlogs: {{}}\n"
    return f"{UPSTREAMS}{own}{more}".replace("logs: {", f"logs: {{folder: {folder / 'logs'}, ")


@pytest.fixture
def start(file: Path) -> Iterator[Start]:
    """Loads the room as mitmproxy does: options of the user's first (keywords), then ours."""
    begun: list[Settings] = []
    contexts: list[taddons.context] = []

    def starting(**options: Any) -> Settings:
        context = mitmproxy_context()
        contexts.append(context)
        context.options.update(**options)
        room = Settings(State())
        begun.append(room)
        context.master.addons.add(room)
        context.configure(room, turnpike_config=str(file))
        return room

    yield starting
    for room in begun:
        if hasattr(room.state, "writer"):
            room.state.writer.stop()
        if room.state.statefile:
            room.state.statefile.stop()
    for context in contexts:
        context.__exit__(None, None, None)


def option(name: str) -> Any:
    return getattr(ctx.options, name)


def test_the_configuration_is_taken_into_use(start: Start, tmp_path: Path) -> None:
    """The State has it, and the writer runs on its database."""
    room = start()
    assert list(room.state.config.upstreams) == ["openai", "anthropic", "openrouter"]
    assert room.state.writer.healthy()[0]
    assert (tmp_path / "turnpike.db").is_file()


def test_options_follow_from_it(start: Start, file: Path, tmp_path: Path) -> None:
    """Lazy connections, no line per flow, long bodies passed on, mitmproxy's own log as loud as ours."""
    file.write_text(text(tmp_path, "proxy: {max_held_body: 5000}\nlogs: {level: warning}\n"))
    start()
    names = ("connection_strategy", "flow_detail", "stream_large_bodies", "termlog_verbosity", "store_streamed_bodies")
    assert [option(name) for name in names] == ["lazy", 0, "5000", "warn", False]


def test_what_the_user_has_set_stays(start: Start) -> None:
    """On the command line or in mitmproxy's own configuration; also over a reload."""
    room = start(flow_detail=3, stream_large_bodies="1m")
    chosen = [3, "1m"]
    assert [option("flow_detail"), option("stream_large_bodies")] == chosen
    room.reload()
    assert [option("flow_detail"), option("stream_large_bodies")] == chosen


def test_streamed_bodies_are_stored_only_for_mitmproxys_own_file(start: Start, tmp_path: Path) -> None:
    """With `-w FILE` its flows have their answers."""
    start(save_stream_file=str(tmp_path / "flows"))
    assert option("store_streamed_bodies") is True
    ctx.options.update(save_stream_file=None)  # closes it


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("upstreamz: {}\n", ["upstreamz"]),
        ("proxy: {port: none}\n", ["proxy.port"]),
        ("routes: [{to: [{upstream: nobody}]}]\n", ["routes", "nobody"]),
        ("proxy: {prefix: '${NOT_SET_ANYWHERE}'}\n", ["NOT_SET_ANYWHERE"]),
    ],
)
def test_a_broken_configuration_ends_the_process_with_one_line(
    broken: str, words: list[str], start: Start, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1; stderr names the place and what is wrong, without a traceback."""
    file.write_text(text(tmp_path, broken))
    with pytest.raises(SystemExit) as ended:
        start()
    line = capsys.readouterr().err
    assert ended.value.code == 1
    assert line.startswith("turnpike: ")
    assert line.count("\n") == 1
    assert all(word in line for word in words)


def test_a_database_that_cannot_be_opened_does_too(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is none, say."""
    (tmp_path / "turnpike.db").write_text("no database, but long enough to be looked at as one" * 40)
    with pytest.raises(SystemExit) as ended:
        start()
    line = capsys.readouterr().err
    assert ended.value.code == 1
    assert line.startswith("turnpike: capture.database: ")
    assert line.count("\n") == 1


def test_a_changed_file_is_taken_over(start: Start, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At once, the options that follow from it too."""
    room = start()
    file.write_text(text(tmp_path, "proxy: {prefix: /llm, max_held_body: 7000}\n"))
    with caplog.at_level(logging.INFO):
        room.reload()
    assert room.state.config.proxy.prefix == "/llm"
    assert option("stream_large_bodies") == "7000"
    assert caplog.messages[-1:] == ["configuration read again"]


def test_a_broken_change_leaves_the_old_in_place(start: Start, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged and `/ready` says so, until the file is right again."""
    room = start()
    before = room.state.config
    file.write_text(text(tmp_path, "proxy: {port: none}\n"))
    room.reload()
    assert room.state.config is before
    assert "proxy.port" in (room.state.config_error or "")
    assert "proxy.port" in caplog.text
    file.write_text(text(tmp_path))
    room.reload()
    assert room.state.config_error is None


def test_what_needs_a_restart_is_named(start: Start, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Host, port, database and state; the rest of the change is taken over."""
    room = start()
    file.write_text(text(tmp_path, "proxy: {port: 9999, prefix: /llm}\n").replace("turnpike.db", "other.db"))
    with caplog.at_level(logging.INFO):
        room.reload()
    assert caplog.messages[-1] == "configuration read again; needs a restart: proxy.port, capture.database"
    assert room.state.config.proxy.prefix == "/llm"
    assert not (tmp_path / "other.db").exists()


def test_a_key_that_looks_misplaced_is_warned_of(
    start: Start, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start and at each reload; it is taken all the same, and no more than its hint is told."""
    key = new_key("gsk_")
    monkeypatch.setenv("OPENAI_KEY", key)
    room = start()
    odd = "does not begin as openai's keys do (sk-…), but as groq's; is it the right key?"
    told = f"upstreams.openai.keys: env OPENAI_KEY (…{key[-4:]}) {odd}"
    assert caplog.messages.count(told) == 1
    assert any(message.startswith("upstreams.anthropic.keys: none of the variables") for message in caplog.messages)
    file.write_text(text(tmp_path, "logs: {level: warning}"))
    room.reload()
    assert caplog.messages.count(told) == 2
    assert room.state.pools["openai"].keys[0].value == key


def test_key_pools_keep_their_turns(start: Start, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload that leaves the keys alone leaves their counts alone."""
    monkeypatch.setenv("OPENAI_KEY", new_key())
    room = start()
    room.state.pools["openai"].lease(0.0)
    file.write_text(text(tmp_path, "proxy: {prefix: /llm}\n"))
    room.reload()
    assert room.state.pools["openai"].keys[0].used == 1


async def test_a_change_is_seen_while_we_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a signal or a restart; and the watching ends with the proxy."""
    monkeypatch.setattr("addons.settings.POLL_SECONDS", 0.01)
    taken = asyncio.Event()
    async with running_proxy(tmp_path, UPSTREAMS, listen_host="127.0.0.1") as proxy:
        adopt = proxy.journey.state.adopt

        def adopt_and_tell(config: Config) -> None:
            adopt(config)
            taken.set()

        monkeypatch.setattr(proxy.journey.state, "adopt", adopt_and_tell)
        file = tmp_path / "turnpike.yml"
        file.write_text(file.read_text() + "proxy: {prefix: /llm}\n")
        async with asyncio.timeout(5):
            await taken.wait()
        assert proxy.journey.state.config.proxy.prefix == "/llm"
        watcher = proxy.settings.watcher
    assert watcher
    await asyncio.wait([watcher], timeout=5)
    assert watcher.done()


async def test_only_loopback_is_listened_on(tmp_path: Path) -> None:
    """Though mitmproxy listens on all interfaces by default, and before our script is loaded; the port stays."""
    async with running_proxy(tmp_path, UPSTREAMS) as proxy, asyncio.timeout(5):
        (mode,) = proxy.master.options.mode
        while [f"regular@{host}:{port}" for host, port in proxy.addresses] != [mode]:
            await asyncio.sleep(0.01)  # mitmproxy tells nobody when a listener has moved
    assert mode.startswith("regular@127.0.0.1:")


@pytest.mark.parametrize(
    ("more", "options", "hosts"),
    [("proxy: {allow_remote: true}\n", {}, {"0.0.0.0", "::"}), ("", {"listen_host": "127.0.0.2"}, {"127.0.0.2"})],
)
async def test_unless_somebody_says_otherwise(more: str, options: dict[str, str], hosts: set[str], tmp_path: Path) -> None:
    """The configuration, or the user by mitmproxy's own option."""
    async with running_proxy(tmp_path, f"{UPSTREAMS}{more}", **options) as proxy:
        assert proxy.master.options.mode == ["regular"]
        assert {host for host, _ in proxy.addresses} <= hosts


def test_mitmproxys_lines_that_name_hosts_are_not_logged(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """They name tunnelled hosts too; its other lines stay."""
    start()
    caplog.clear()
    logger = logging.getLogger("mitmproxy.proxy.server")
    with caplog.at_level(logging.INFO):
        for line in (*NOISE, "something went wrong"):
            logger.info(f"{line} example.com")
    assert caplog.messages == ["something went wrong example.com"]


def test_each_stored_call_is_a_line_in_the_logs(
    make_journey: MakeJourney, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the program's and in the access log, whatever is wrong with one before it."""
    room = Settings(make_journey(UPSTREAMS, {}).state)
    files: list[tuple[str, ...]] = []
    monkeypatch.setattr(room.state.logs, "put", lambda *those: files.append(those))
    row: dict[str, Any] = dict.fromkeys(("tokens_source", "cost_usd", "served_model"))
    row |= {"id": "ID", "upstream": "openai", "model": "m", "status": 200, "outcome": "ok", "duration_ms": 12.4}
    with caplog.at_level(logging.INFO):
        room._stored([StoredCall({**row, "id": "WRONG", "cost_usd": "much"}), StoredCall(row), StoredCall({**row, "id": "ID2"})])
    assert caplog.messages == [
        "after storing call WRONG: ValueError",
        "ID openai m 200 ok, tokens unknown, 12 ms",
        "ID2 openai m 200 ok, tokens unknown, 12 ms",
    ]
    [(name, *lines)] = files
    assert name == "access.jsonl" and [json.loads(line)["id"] for line in lines] == ["WRONG", "ID", "ID2"]


def test_a_line_that_nobody_shows_is_not_made(
    make_journey: MakeJourney, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The access log has the call all the same."""
    room = Settings(make_journey(UPSTREAMS, {}).state)
    files: list[tuple[str, ...]] = []
    monkeypatch.setattr(room.state.logs, "put", lambda *those: files.append(those))
    monkeypatch.setattr("addons.settings.call_line", lambda call: pytest.fail("made"))
    row: dict[str, Any] = {"id": "ID", "outcome": "ok"}
    with caplog.at_level(logging.WARNING, "addons.settings"):
        room._stored([StoredCall(row)])
    assert len(files[0]) == 2 and caplog.messages == []


def test_each_stored_call_tells_how_fast_its_upstream_was(make_journey: MakeJourney) -> None:
    """For routes that want the fastest; what shows nothing of that is left out."""
    room = Settings(make_journey(UPSTREAMS, {}).state)
    row: dict[str, Any] = dict.fromkeys(("id", "response_model", "cost_usd", "tokens_source", "served_model", "api", "status"))
    row |= {
        "upstream": "openai",
        "model": "m",
        "outcome": "ok",
        "attempts": 1,
        "ttft_ms": 500.0,
        "duration_ms": 1500.0,
        "output_tokens": 100,
    }
    room._stored([StoredCall({**row, "model": "failed", "outcome": "error"}), StoredCall(row)])
    known = {model: room.state.speeds.expected_s("openai", model, time.monotonic()) for model in ("m", "failed")}
    assert known == {"m": pytest.approx(0.5 + 500 / 100), "failed": None}


def test_the_stream_is_in_place(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the room is all that it takes."""
    monkeypatch.setattr(HttpLayer, "make_stream", lambda self, stream_id: None)
    start()
    assert HttpLayer.make_stream is make_stream


async def test_a_file_that_cannot_be_read_does_not_end_the_watch(make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong is told by /ready, and the next change is looked at again."""
    settings, tries = Settings(make_journey(UPSTREAMS, {}).state), asyncio.Event()

    class File:
        def changed(self) -> bool:
            if settings.state.config_error:
                tries.set()
            raise MemoryError("secret")

    monkeypatch.setattr("addons.settings.POLL_SECONDS", 0)
    monkeypatch.setattr(settings, "file", File())
    watch = asyncio.create_task(settings._watch())
    await asyncio.wait_for(tries.wait(), 5)
    watch.cancel()
    assert settings.state.config_error and "MemoryError" in settings.state.config_error and "secret" not in settings.state.config_error


def test_lines_of_mitmproxy_are_masked(make_journey: MakeJourney) -> None:
    """What a server sent unasked is quoted by mitmproxy, and may hold our key; lines that name hosts are left out."""
    key = new_key()
    journey = make_journey(UPSTREAMS, {"OPENAI_KEY": key})
    settings = Settings(journey.state)
    settings.file = object()  # type: ignore[assignment]  # only that there is one
    record = logging.LogRecord("mitmproxy.proxy.server", logging.INFO, "", 0, "Unexpected data from server: %s", (key,), None)
    assert settings.clean_line(record)
    assert key not in record.getMessage()
    assert not settings.clean_line(logging.LogRecord("mitmproxy.proxy.server", logging.INFO, "", 0, "server connect host:443", (), None))
