"""addons/views/cells.py: what a person reads, and that other people's text stays text."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from addons.views.cells import call_link, duration, excerpt, folded_json, money, render, size
from addons.views.links import Links
from tests.views.samples import HOSTILE, call_id

CALL, REPLAY = call_id(35), call_id(36)
LINKS = Links(lambda path: f"/base{path}")


def shown(value: object, column: str, row_id: object = None) -> str | None:
    html = render(value, column, links=LINKS, row_id=row_id)
    return None if html is None else str(html)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0.4321, "0.432 ms"),
        (8.0, "8 ms"),
        (845.4, "845 ms"),
        (1234.5, "1.23 s"),
        (59_990, "59.99 s"),
        (125_000, "2 min 05 s"),
        (-20, "-20 ms"),
    ],
)
def test_durations(ms: float, text: str) -> None:
    """Milliseconds become the unit that reads best."""
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0, "$0.00"), (1234.5, "$1,234.50"), (0.0525, "$0.0525"), (0.000123, "$0.000123"), (0.0000001, "<$0.000001"), (-0.02, "-$0.0200")],
)
def test_money(usd: float, text: str) -> None:
    """A call that costs a fraction of a cent does not read as nothing."""
    assert money(usd) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (20_480, "20.5 kB"), (5_000_000, "5 MB"), (7.2e9, "7.2 GB")])
def test_sizes(count: float, text: str) -> None:
    """Bytes in decimal units, three digits."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (1234.5, "ttft_ms", ">1.23 s<"),
        (1234.5, "duration_p95_ms", ">1.23 s<"),
        (0.5, "cost_change_usd", ">$0.5000<"),
        (12345, "input_tokens", ">12,345<"),
        (90, "span_s", ">1 min 30 s<"),
        ("2026-11-21T10:00:00.123Z", "started_at", ">2026-11-21 10:00:00<"),
        ("error", "outcome", "outcome-error"),
        ("ok", "original_outcome", "outcome-ok"),
        (20480, "size", ">20.5 kB<"),
        (3.14159, "error_percent", ">3.1 %<"),
        ("[1, 2]", "segments", "<details"),
        (CALL, "id", f'href="/base/-/llm/call/{CALL}"'),
        (CALL, "call_id", f'href="/base/-/llm/call/{CALL}"'),
        (CALL, "replay_of", f">…{CALL[-8:]}<"),
        ("a&b", "conversation_id", 'href="/base/-/llm/conversation/a%26b"'),
        ("..", "conversation_id", 'href="/base/-/llm/conversation/?id=.."'),
    ],
)
def test_columns_are_told_by_their_names(value: object, column: str, text: str) -> None:
    """The unit at the end of a column's name, or the name itself, says how its values are shown."""
    assert text in (shown(value, column) or "")


@pytest.mark.parametrize(
    ("value", "column"),
    [
        (None, "cost_usd"),
        ("", "prompt"),
        (1_760_000_000_000, "ts_ms"),
        (3, "id"),
        ("no ulid", "call_id"),
        (200, "status"),
        (b"\x00", "data"),
        ("{", "data"),
        (float("inf"), "ttft_ms"),
        (float("inf"), "cost_usd"),
    ],
)
def test_all_else_is_left_to_datasette(value: object, column: str) -> None:
    """What is unknown, exact, or not of the form that its column's name promises, is shown as it is."""
    assert shown(value, column) is None


def test_a_call_is_named_by_its_label() -> None:
    """Where Datasette knows the label of the call, the link says that, clipped; without one the end of the id."""
    labelled = call_link({"value": CALL, "label": "why " * 30}, LINKS)
    assert ">why why" in str(labelled)
    assert len(str(labelled)) < 210
    assert f">…{CALL[-8:]}<" in str(call_link({"value": CALL, "label": None}, LINKS))


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "../x", "%", "?a=b#c", " ", "東京 🚀", HOSTILE, "x" * 500])
def test_a_conversation_is_one_segment_of_the_path(name: str) -> None:
    """Whatever a client calls its session, the link leads to the page of that name."""
    html = shown(name, "conversation_id") or ""
    address = html.split('href="')[1].split('"')[0]
    before, _, segment = address.rpartition("/")
    assert before == "/base/-/llm/conversation"
    assert segment.isascii()
    assert not set(segment) & set("?#&<> ")
    assert unquote(segment) == name


def test_a_replay_leads_to_what_differs() -> None:
    """Beside the link to the original, where the row says which call repeated it, with Datasette's label or without."""
    for original, replay in ((CALL, REPLAY), ({"value": CALL, "label": "why"}, {"value": REPLAY, "label": None})):
        html = shown(original, "replay_of", replay) or ""
        assert f'href="/base/-/llm/call/{CALL}"' in html
        assert f'href="/base/-/llm/diff?a={CALL}&amp;b={REPLAY}"' in html
    for other in (None, 3, "no ulid"):
        assert "diff" not in (shown(CALL, "replay_of", other) or "")


@pytest.mark.parametrize(
    "column", ["replay_of", "prompt", "response", "error", "outcome", "conversation_id", "started_at", "data", "decision", "id"]
)
def test_hostile_text_stays_text(column: str) -> None:
    """No text of a capture becomes markup, in no column, nor inside JSON or a label."""
    values: list[object] = [
        HOSTILE,
        f'"{HOSTILE.replace(chr(34), "")}"',
        f"2026-11-21T10:00:00{HOSTILE}",
        {"value": CALL, "label": HOSTILE},
    ]
    for value in values:
        html = shown(value, column) or ""
        assert "<img" not in html
        assert "</script" not in html


def test_very_long_values_are_left_to_be_cut() -> None:
    """Datasette cuts long cells; ours would hold all of it."""
    assert excerpt("x" * 3000) is None
    assert folded_json("[" + "1," * 150_000 + "1]") is None
    assert folded_json("[" * 100_000 + "]" * 100_000) is None


def test_half_a_surrogate_pair_in_json_can_be_sent() -> None:
    """JSON's escapes can name it, UTF-8 cannot: a table with such a cell broke off in the middle."""
    cell = folded_json('{"model": "a\\ud83d"}')
    assert cell is not None
    assert "a?" in cell.encode().decode()
