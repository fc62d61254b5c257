"""What fails upstream, real clients do not see: SDKs that are told not to retry, by every way in, over HTTP/1 and HTTP/2 upstreams."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anthropic
import httpx
import openai
import pytest

from scripts.fake_provider.server import running_fake_provider
from scripts.fake_provider.speech import DEFAULT_TEXT
from tests.e2e.cells import (
    BASE_URL,
    CLAUDE,
    FIRST_BYTE_S,
    MESSAGES,
    MODEL,
    PROXY,
    PROXY_HTTP2,
    WAYS,
    WIRES,
    Cell,
    Cells,
    Way,
    Wire,
    anthropic_client,
    ask,
    ask_claude,
    make_config,
    openai_client,
    url_of,
)
from tests.e2e.cells import http_client as client_of
from tests.e2e.harness import Turnpike, wait_for

SLACK_S = 0.9  # what a busy machine may add


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """One proxy in front of two providers, one of which speaks HTTP/2."""
    with ExitStack() as stack:
        plain = stack.enter_context(running_fake_provider())
        modern = stack.enter_context(running_fake_provider(tls=True, http2=True))
        fakes: dict[Wire, Any] = {"http1": plain, "http2": modern}
        config, env, keys = make_config(fakes)
        turnpike = stack.enter_context(Turnpike(tmp_path_factory.mktemp("failover"), config, trusted_ca=modern.ca_file, env=env))
        yield Cells(turnpike, fakes, keys)


COMBINATIONS: tuple[tuple[Wire, Way, bool], ...] = (
    ("http1", PROXY, False),
    ("http1", BASE_URL, True),
    ("http1", PROXY_HTTP2, True),
    ("http2", PROXY_HTTP2, False),
    ("http2", PROXY_HTTP2, True),
    ("http2", BASE_URL, False),
    ("http2", PROXY, True),
)
"""The upstream's HTTP, the way in and the client's HTTP, whether the answer is streamed: each meets each, not all of them all."""


@dataclass(frozen=True)
class Scene:
    """A cell, and how its client comes."""

    cell: Cell
    way: Way
    stream: bool

    def ask(self) -> str:
        return ask(self.cell, self.way, self.stream)


@pytest.fixture(params=COMBINATIONS, ids=lambda made: f"{made[0]}-{made[1].name}-{'stream' if made[2] else 'whole'}")
def scene(cells: Cells, request: pytest.FixtureRequest) -> Scene:
    wire, way, stream = request.param
    return Scene(cells.take(wire), way, stream)


@pytest.fixture(params=WIRES)
def cell(cells: Cells, request: pytest.FixtureRequest) -> Cell:
    return cells.take(request.param)


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


def finished(cell: Cell, outcome: str = "ok", status: int | None = 200) -> Any:
    """The row of the cell's one call, which ended like this."""
    row = cell.row()
    assert (row["outcome"], row["status"]) == (outcome, status), row
    assert row["attempts"] == len(cell.attempts(row["id"]))
    return row


def test_a_short_wait_is_waited_on_the_same_key(scene: Scene) -> None:
    """429 with `Retry-After: 1`: the same key again after a second; the client sees one good answer."""
    cell = scene.cell
    cell.set(cell.keys[0], status=429, retry_after=1, times=1)
    begun = time.monotonic()
    assert scene.ask() == DEFAULT_TEXT
    assert 1.0 <= time.monotonic() - begun < 1.0 + SLACK_S + 1
    first, second = cell.seen()
    assert (first.key, second.key) == (cell.keys[0], cell.keys[0])
    assert second.started_s - first.started_s >= 1.0
    row = finished(cell)
    assert cell.attempts(row["id"]) == [("main", "k0", 429, "rate_limit"), ("main", "k0", 200, None)]
    waits = cell.turnpike.query("select wait_ms from attempts where call_id = ? order by n", row["id"])
    assert waits[0]["wait_ms"] == 0
    assert waits[1]["wait_ms"] >= 1000
    if cell.wire == "http2":  # mitmproxy offers the upstream what the client has offered
        assert first.http_version == ("2" if scene.way.http2 else "1.1")


def test_a_long_wait_is_left_to_the_key(scene: Scene) -> None:
    """429 with 60: the next key at once, and nothing more for the key that cools while the test runs."""
    cell = scene.cell
    cell.set(cell.keys[0], status=429, retry_after=60)
    for _ in range(3):
        assert scene.ask() == DEFAULT_TEXT
    assert cell.keys_seen() == ["k0", "k1", "k1", "k1"]
    rows = wait_for(lambda: rows if len(rows := cell.rows()) == 3 else None, "three rows")
    assert cell.attempts(rows[0]["id"]) == [("main", "k0", 429, "rate_limit"), ("main", "k1", 200, None)]
    assert [row["key_hint"] for row in rows] == [cell.keys[1][-4:]] * 3
    (cooling,) = key_stats(cell)["cooldowns"]
    assert 50 < cooling["seconds_left"] <= 60


def key_stats(cell: Cell) -> Any:
    """Of the cell's first key."""
    upstreams = httpx.get(f"{cell.turnpike.base_url}/v1/quota-stats").json()["data"]
    return next(upstream for upstream in upstreams if upstream["upstream"] == cell.name)["keys"][0]


def test_a_spent_quota_is_the_keys_own(scene: Scene) -> None:
    """429 insufficient_quota: the next key; the named reset is honoured, and the whole key rests until then."""
    cell = scene.cell
    cell.set(cell.keys[0], status=429, error="insufficient_quota", message="You exceeded your current quota", retry_after=1800)
    assert scene.ask() == DEFAULT_TEXT
    assert cell.keys_seen() == ["k0", "k1"]
    row = finished(cell)
    assert cell.attempts(row["id"]) == [("main", "k0", 429, "quota"), ("main", "k1", 200, None)]
    (cooling,) = key_stats(cell)["cooldowns"]
    assert 1700 < cooling["seconds_left"] <= 1800


@pytest.mark.parametrize("status", [401, 403])
def test_a_bad_key_is_locked_out(scene: Scene, status: int) -> None:
    """401: the next key, and the bad one is not asked again."""
    cell = scene.cell
    message = "Incorrect API key provided."
    cell.set(cell.keys[0], status=status, error="invalid_api_key", message=message)
    assert scene.ask() == DEFAULT_TEXT
    assert scene.ask() == DEFAULT_TEXT
    assert cell.keys_seen() == ["k0", "k1", "k1"]
    first = wait_for(lambda: cell.rows()[:1] if len(cell.rows()) == 2 else None, "two rows")[0]
    assert cell.attempts(first["id"]) == [("main", "k0", status, "auth"), ("main", "k1", 200, None)]


@pytest.mark.parametrize(("status", "failure"), [(500, "server"), (529, "overloaded"), (503, "overloaded")])
def test_an_upstream_in_trouble_is_asked_again_then_left(cells: Cells, status: int, failure: str) -> None:
    """500, 503, 529: twice more on the same upstream with growing waits, then the next upstream."""
    cell = cells.take("http2" if status == 500 else "http1")
    for key in cell.keys:
        cell.set(key, status=status)
    assert ask(cell, PROXY, True) == DEFAULT_TEXT
    first, second, third, last = cell.seen()
    assert 0.7 <= second.started_s - first.started_s < 1.3 + SLACK_S
    assert 1.4 <= third.started_s - second.started_s < 2.6 + SLACK_S
    assert last.key == cell.back_key
    assert last.started_s - third.started_s < SLACK_S
    row = finished(cell)
    assert cell.attempts(row["id"]) == [("main", "k0", status, failure)] * 3 + [("back", "back", 200, None)]
    assert (row["upstream"], row["key_hint"]) == (cell.name.replace("main", "back"), cell.back_key[-4:])


def test_an_upstream_that_recovers_answers(scene: Scene) -> None:
    """One 500, then well: the second try is the answer."""
    cell = scene.cell
    cell.set(cell.keys[0], status=500, times=1)
    assert scene.ask() == DEFAULT_TEXT
    assert cell.attempts(finished(cell)["id"]) == [("main", "k0", 500, "server"), ("main", "k0", 200, None)]


@pytest.mark.parametrize("trouble", [{"reset": True}, {"hang": True}], ids=["reset", "hang"])
def test_no_answer_is_the_next_upstreams_turn(scene: Scene, trouble: dict[str, bool]) -> None:
    """Reset before the first byte, and a first byte that does not come within its time: the next upstream."""
    cell = scene.cell
    for key in cell.keys:
        cell.set(key, **trouble)
    begun = time.monotonic()
    assert scene.ask() == DEFAULT_TEXT
    took = time.monotonic() - begun
    assert took < (FIRST_BYTE_S if "hang" in trouble else 0) + 2
    assert took >= (FIRST_BYTE_S if "hang" in trouble else 0)
    kind = "timeout" if "hang" in trouble else "connect"
    assert cell.attempts(finished(cell)["id"]) == [("main", "k0", None, kind), ("back", "back", 200, None)]


@pytest.mark.parametrize(
    "knobs",
    [
        {"status": 400},
        {"status": 400, "error": "context_length_exceeded", "message": "This model's maximum context length is 8192 tokens."},
        {"status": 404},
        {"status": 422},
    ],
    ids=["400", "context", "404", "422"],
)
def test_what_is_the_clients_own_fault_is_told_once(cells: Cells, knobs: dict[str, Any]) -> None:
    """400 and context-length errors come through untouched, after one try."""
    cell = cells.take("http1")
    cell.set(cell.keys[0], **knobs)
    with openai_client(cell, PROXY) as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    direct = httpx.post(
        f"{cell.fake.url}/v1/chat/completions",
        json={"model": MODEL, "messages": MESSAGES},
        headers={"Authorization": f"Bearer {cell.keys[0]}"},
    )
    assert raised.value.status_code == direct.status_code == knobs["status"]
    assert raised.value.response.content == direct.content
    row = finished(cell, "error", knobs["status"])
    assert cell.attempts(row["id"]) == [("main", "k0", knobs["status"], "request")]


def test_a_cut_stream_is_seen_as_cut(cell: Cell, way: Way) -> None:
    """Cut after ten chunks: the client sees the cut, nothing is sent again, the row is partial."""
    cell.set(cell.keys[0], chunks=30, delay=0.01, cut=10)
    got = []
    with openai_client(cell, way) as client, pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError, openai.APIError)):
        for chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            got.append(chunk)
    assert len(got) >= 9
    assert cell.keys_seen() == ["k0"]
    row = finished(cell, "partial", 200)
    assert cell.attempts(row["id"]) == [("main", "k0", 200, "stream")]


def test_an_error_before_the_first_content_is_a_failure(cell: Cell, way: Way) -> None:
    """An SSE `error` in place of content: tried again, and the client sees only the good stream."""
    cell.set(cell.keys[0], fail_after=0, times=1)
    assert ask(cell, way, True) == DEFAULT_TEXT
    row = finished(cell)
    assert cell.attempts(row["id"]) == [("main", "k0", 200, "overloaded"), ("main", "k0", 200, None)]


@pytest.mark.parametrize("form", [{"gzip": True}, {"chunks": 10}, {"chunks": 10, "gzip": True}], ids=["gzip", "ten pieces", "both"])
def test_the_form_of_an_error_does_not_matter(cell: Cell, form: dict[str, Any]) -> None:
    """A 429 that is compressed, or comes in ten pieces, is read like any other."""
    cell.set(cell.keys[0], status=429, error="insufficient_quota", message="You exceeded your current quota", **form)
    assert ask(cell, PROXY, True) == DEFAULT_TEXT
    assert cell.attempts(finished(cell)["id"]) == [("main", "k0", 429, "quota"), ("main", "k1", 200, None)]


def test_a_date_names_a_wait_too(cells: Cells) -> None:
    """`Retry-After` as an HTTP date two seconds ahead."""
    cell = cells.take("http1")
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    cell.set(cell.keys[0], status=429, retry_after=when, times=1)
    assert ask(cell, PROXY, False) == DEFAULT_TEXT
    first, second = cell.seen()
    assert 1.5 <= second.started_s - first.started_s <= 3.0 + SLACK_S


@pytest.mark.slow
def test_with_every_key_cooling_the_call_waits(cells: Cells) -> None:
    """All keys cool for longer than is waited for on one: the first that is free again answers, within the deadline."""
    cell = cells.take("http1")
    for key in (*cell.keys, cell.back_key):
        cell.set(key, status=429, retry_after=11, times=1)
    begun = time.monotonic()
    assert ask(cell, PROXY, False) == DEFAULT_TEXT
    assert time.monotonic() - begun >= 10.5
    row = finished(cell)
    attempts = cell.attempts(row["id"])
    assert attempts[:4] == [("main", f"k{n}", 429, "rate_limit") for n in range(3)] + [("back", "back", 429, "rate_limit")]
    assert attempts[4][2:] == (200, None)


def test_with_every_key_cooling_for_long_the_client_is_told(cells: Cells, way: Way) -> None:
    """503 in the client's dialect, with `Retry-After` and the attempts; the next call is refused without asking anybody."""
    cell = cells.take("http1")
    for key in (*cell.keys, cell.back_key):
        cell.set(key, status=429, retry_after=300)
    for tried in (4, 0):
        with openai_client(cell, way) as client, pytest.raises(openai.InternalServerError) as raised:
            client.chat.completions.create(model=MODEL, messages=MESSAGES)
        error: Any = raised.value.response.json()["error"]
        assert (raised.value.status_code, error["code"]) == (503, "all_keys_exhausted")
        assert 290 <= int(raised.value.response.headers["retry-after"]) <= 300
        assert [attempt["status"] for attempt in error["attempts"]] == [429] * tried
        assert not any(key in raised.value.response.text for key in cell.keys)
    rows = wait_for(lambda: rows if len(rows := cell.rows()) == 2 else None, "two rows")
    assert [(row["outcome"], row["status"], row["attempts"]) for row in rows] == [("error", 503, 4), ("blocked", 503, 0)]
    assert "cooling" in rows[1]["decision"]
    assert len(cell.seen()) == 4


@pytest.mark.parametrize(
    ("knobs", "tries"),
    [
        ({"status": 529}, [("main", "k0", 529, "overloaded"), ("main", "k0", 200, None)]),
        ({"status": 429, "retry_after": 30}, [("main", "k0", 429, "rate_limit"), ("main", "k1", 200, None)]),
        ({"status": 401}, [("main", "k0", 401, "auth"), ("main", "k1", 200, None)]),
        ({"fail_after": 0}, [("main", "k0", 200, "overloaded"), ("main", "k0", 200, None)]),
    ],
    ids=["529", "429", "401", "error event"],
)
@pytest.mark.parametrize("wire", WIRES)
def test_claude_clients_see_one_good_answer(cells: Cells, wire: Wire, knobs: dict[str, Any], tries: list[Any]) -> None:
    """Anthropic's own SDK, in its own dialect."""
    cell = cells.take(wire, "anthropic")
    cell.set(cell.keys[0], times=1, **knobs)
    assert ask_claude(cell, stream=wire == "http1" or "fail_after" in knobs) == DEFAULT_TEXT
    assert cell.attempts(finished(cell)["id"]) == tries


def test_claude_clients_are_told_in_their_own_words(cells: Cells) -> None:
    """Every key cooling: an error that Anthropic's SDK reads."""
    cell = cells.take("http1", "anthropic")
    for key in (*cell.keys, cell.back_key):
        cell.set(key, status=429, retry_after=300)
    with anthropic_client(cell) as client, pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(model=CLAUDE, max_tokens=10, messages=MESSAGES)
    error: Any = raised.value.response.json()
    assert (raised.value.status_code, error["type"], error["error"]["code"]) == (503, "error", "all_keys_exhausted")


@pytest.mark.parametrize("way", [PROXY, PROXY_HTTP2], ids=["http1", "http2"])
def test_a_client_that_leaves_in_a_wait_ends_the_call(cells: Cells, way: Way) -> None:
    """Gone in the middle of a wait: no further try, and the row says cancelled."""
    cell = cells.take("http1")
    cell.set(cell.keys[0], status=429, retry_after=8)
    with client_of(cell, way) as client, pytest.raises(httpx.ReadTimeout):
        client.post(f"{url_of(cell, way)}/v1/chat/completions", json={"model": MODEL, "messages": MESSAGES}, timeout=0.5)
    row = finished(cell, "cancelled", None)
    assert cell.attempts(row["id"]) == [("main", "k0", 429, "rate_limit")]
    assert len(cell.seen()) == 1
    assert key_stats(cell)["in_flight"] == 0


def test_a_kept_connection_that_died_is_no_failure(cell: Cell) -> None:
    """The upstream closes an idle connection at the moment of its reuse: once more on a fresh one, and no attempt is counted."""
    cell.set(cell.keys[0], stale=True, times=1)
    with client_of(cell, PROXY) as client:
        for _ in range(2):
            answer = client.post(f"https://{cell.host}/v1/chat/completions", json={"model": MODEL, "messages": MESSAGES})
            assert answer.status_code == 200
    rows = wait_for(lambda: rows if len(rows := cell.rows()) == 2 else None, "two rows")
    assert [cell.attempts(row["id"]) for row in rows] == [[("main", "k0", 200, None)]] * 2
