"""addons/views/serving.py and datasette-metadata.yml: what Datasette shows of the captures."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from addons.storage.store import Store
from addons.views.serving import METADATA, CannotServe, make_datasette
from tests.views.samples import CALLS, call_id, fill, sample
from tests.views.support import Browse

DESCRIBED: dict[str, Any] = YAML(typ="safe").load(METADATA.read_text(encoding="utf-8"))["databases"]["turnpike"]
PARAMETERS = {
    "q": "lighthouse keepers",
    "days": "90",
    "by": "model",
    "ms": "300",
    "model": "",
    "input_price": "3",
    "cache_read_price": "0.3",
    "cache_write_price": "3.75",
    "call": call_id(4),
}
SCHEMA = (
    "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type IN ('table', 'view') AND m.name NOT LIKE '%_fts%'"
)


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An empty database and a filled one; the second has a name that is special in a URI."""
    folder = tmp_path_factory.mktemp("captures")
    paths = {"empty": folder / "empty.db", "filled": folder / "odd 100%?name#.db"}
    fill(paths["empty"], calls=0)
    fill(paths["filled"])
    return paths


@pytest.fixture(scope="module")
def served(databases: dict[str, Path]) -> Iterator[dict[str, Browse]]:
    with Browse(databases["empty"]) as empty, Browse(databases["filled"]) as filled:
        yield {"empty": empty, "filled": filled}


def test_every_table_view_and_column_is_described_and_nothing_else(databases: dict[str, Path]) -> None:
    """The names in the metadata are those of the schema, in both directions; each has words."""
    connection = sqlite3.connect(databases["empty"])
    real = set(connection.execute(SCHEMA))
    connection.close()
    tables = DESCRIBED["tables"]
    assert {(table, column) for table, told in tables.items() for column in told["columns"]} == real
    assert all(told["description"] and all(told["columns"].values()) for told in tables.values())


@pytest.mark.parametrize("table", DESCRIBED["tables"])
def test_sort_facets_and_labels_name_real_columns(table: str) -> None:
    """What the metadata sorts, counts or labels by is a column."""
    told = DESCRIBED["tables"][table]
    named = {*told.get("facets", ()), *(told[key] for key in ("sort_desc", "label_column") if key in told)}
    assert named <= set(told["columns"])


@pytest.mark.parametrize("which", ["empty", "filled"])
@pytest.mark.parametrize("name", DESCRIBED["tables"])
def test_every_table_and_view_is_shown(served: dict[str, Browse], which: str, name: str) -> None:
    """As a page and as JSON, on an empty database too, every facet in time."""
    page = served[which].get(f"/turnpike/{name}", _show_hidden="1")
    assert "timed out" not in page.text
    assert "columns" in (served[which].get(f"/turnpike/{name}.json")).json()


@pytest.mark.parametrize("which", ["empty", "filled"])
@pytest.mark.parametrize("name", DESCRIBED["queries"])
def test_every_query_runs(served: dict[str, Browse], which: str, name: str) -> None:
    """Without parameters and with them; on the sample each finds something."""
    served[which].get(f"/turnpike/{name}", **dict.fromkeys(PARAMETERS, ""))
    found = (served[which].get(f"/turnpike/{name}.json", _shape="objects", **PARAMETERS)).json()
    assert found["ok"]
    assert bool(found["rows"]) == (which == "filled" and name != "repeated_prompts")  # each sample asks something else


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '""" "',
        "'",
        "AND",
        "NOT x",
        "a OR",
        "*",
        "(",
        "col:x",
        "^a",
        "-x",
        "a + b",
        "  two   spaces ",
        "tab\there",
        "東京",
        "\\",
        "%",
        "NEAR(",
        "a\x00b",
        "🚀",
        ";--",
    ],
)
def test_search_takes_any_text(served: dict[str, Browse], text: str) -> None:
    """Nothing that is typed is FTS5 syntax, and nothing is an error."""
    found = (served["filled"].get("/turnpike/search.json", q=text, _shape="objects")).json()
    assert found["ok"], found.get("error")


def test_settings_keep_large_files_quick(served: dict[str, Browse]) -> None:
    """No facets are guessed, nothing runs for long or returns without end, and the file is not handed out."""
    settings = served["filled"].get("/-/settings.json").json()
    assert not settings["suggest_facets"]
    assert not settings["allow_download"]
    assert settings["sql_time_limit_ms"] <= 5000
    assert settings["max_returned_rows"] <= 2000
    slow = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    assert served["filled"].client.get("/turnpike.json", params={"sql": slow, "_timelimit": "50"}).status_code == 400


def test_search_wants_all_words_in_any_order(served: dict[str, Browse]) -> None:
    """Words may stand apart and in another order; each must be there. A word of one call finds that call."""

    def found(text: str) -> list[dict[str, Any]]:
        return list((served["filled"].get("/turnpike/search.json", q=text, _shape="array")).json())

    assert len(found("coast lighthouse 12")) == 1
    assert not found("coast lighthouse submarine")
    assert [row["id"] for row in found("javascript")] == [call_id(3)]


@pytest.mark.parametrize(("text", "expected"), [("京", [3]), ("東京", [3]), (" 京 ", [3]), ("🚀", [3]), ("海", []), ("京 keeper", [])])
def test_search_finds_what_is_no_word_of_the_index(served: dict[str, Browse], text: str, expected: list[int]) -> None:
    """A part of a run of Chinese characters, an emoji: as they stand, each text once."""
    found = served["filled"].get("/turnpike/search.json", q=text, _shape="array").json()
    assert [row["id"] for row in found] == [call_id(number) for number in expected]
    assert all(f"»{text.strip()}«" in row["found"] for row in found)


@pytest.mark.parametrize("query", [name for name, told in DESCRIBED["queries"].items() if ":days" in told["sql"]])
def test_what_is_no_number_is_the_default(served: dict[str, Browse], query: str) -> None:
    """Of days, and of the others."""
    asked = {name: value for name, value in PARAMETERS.items() if f":{name}" in DESCRIBED["queries"][query]["sql"]}
    default = "7" if query == "error_rate" else "30"
    wrong = [("days", default, text) for text in ("", "soon", "-1")] + [("ms", "5000", text) for text in ("", "long") if "ms" in asked]
    for name, right, text in wrong:
        one, other = (served["filled"].get(f"/turnpike/{query}.json", **asked | {name: value}).json()["rows"] for value in (right, text))
        assert one == other
        assert one or name == "ms" or query == "repeated_prompts"  # of which the sample has none


def test_traffic_is_newest_first_with_its_facets(served: dict[str, Browse]) -> None:
    """The page to browse, without being asked."""
    shown = (served["filled"].get("/turnpike/traffic.json", _shape="objects")).json()
    assert [row["id"] for row in shown["rows"]] == [call_id(number) for number in reversed(range(CALLS))]
    assert set(shown["facet_results"]) == set(DESCRIBED["tables"]["traffic"]["facets"])


def test_cells_links_and_descriptions_are_on_the_pages(served: dict[str, Browse]) -> None:
    """The plugin is at work: calls link, numbers have units, columns are explained, hostile text is text."""
    traffic = (served["filled"].get("/turnpike/traffic")).text
    assert f'href="/-/llm/call/{call_id(7)}"' in traffic
    assert f'href="/-/llm/conversation/{call_id(4)}"' in traffic
    assert f'href="/-/llm/diff?a={call_id(3)}&amp;b={call_id(4)}"' in traffic
    assert "captures.css" in traffic
    assert '<details class="columns">' in traffic
    assert "<img src=x" not in traffic
    for table in ("attempts", "bodies"):
        assert f'href="/-/llm/call/{call_id(0)}"' in served["filled"].get(f"/turnpike/{table}").text
    replays = served["filled"].get("/turnpike/replays").text
    assert f'href="/-/llm/diff?a={call_id(3)}&amp;b={call_id(4)}"' in replays
    call = (served["filled"].get(f"/turnpike/calls/{call_id(4)}")).text
    assert f'<a class="call-page" href="/-/llm/call/{call_id(4)}"' in call
    assert f'href="/-/llm/call/{call_id(3)}"' in call
    assert f'href="/-/llm/diff?a={call_id(3)}&amp;b={call_id(4)}"' in call
    assert f"/turnpike/attempts?call_id={call_id(4)}" in call
    assert "Time from the request to the end of the answer" in call


def test_the_style_sheet_is_served(served: dict[str, Browse]) -> None:
    """By Datasette itself, from the installed plugin."""
    assert ".db-turnpike" in (served["filled"].get("/-/static-plugins/turnpike/captures.css")).text


def test_nothing_but_the_captures_is_served_and_nothing_is_written(served: dict[str, Browse]) -> None:
    """One database, called turnpike whatever its file's name; no download, no other file by SQL, no writing."""
    datasette = served["filled"]
    assert [database["name"] for database in (datasette.get("/-/databases.json")).json()] == ["turnpike"]
    assert (datasette.client.get("/turnpike.db")).status_code == 403
    for sql in ("attach 'state.db' as state", "delete from calls", "select load_extension('x')", "with x as (select 1) delete from calls"):
        assert (datasette.client.get("/turnpike.json", params={"sql": sql})).status_code == 400


def test_what_is_written_meanwhile_is_seen(tmp_path: Path) -> None:
    """A page shows what the writer committed since the last one, while the writer stays open; a reader never blocks it."""
    path = tmp_path / "live.db"
    store = Store(path)
    try:
        with Browse(path) as datasette:
            for number in range(3):
                store.write([sample(number, datetime.now(UTC))])
                assert (datasette.get("/turnpike/traffic.json")).json()["filtered_table_rows_count"] == number + 1
    finally:
        store.close()


def answer(path: Path, query: str, **parameters: str) -> list[dict[str, Any]]:
    """The rows of a canned query, asked of the file itself."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        given = dict.fromkeys(PARAMETERS, "") | parameters
        return [dict(row) for row in connection.execute(DESCRIBED["queries"][query]["sql"], given)]


def summed(path: Path, what: str, where: str = "1") -> Any:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {what} FROM calls WHERE {where}").fetchone()[0]


@pytest.mark.parametrize("by", ["", "client", "project", "key", "tag", "model", "upstream", "conversation"])
def test_spend_adds_up_by_whatever_it_is_told_by(databases: dict[str, Path], by: str) -> None:
    """Every call is in one row: the sums are those of all calls; the dearest comes first."""
    rows = answer(databases["filled"], "spend_by", by=by, days="90")
    assert sum(row["calls"] for row in rows) == CALLS
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(summed(databases["filled"], "sum(cost_usd)"))
    assert [row["cost_usd"] for row in rows] == sorted((row["cost_usd"] for row in rows), reverse=True)
    assert {row["spent_by"] for row in rows} != {None} or by in {"project", "key", "tag"}


def test_spend_by_something_else_is_told(databases: dict[str, Path]) -> None:
    """A typing error is answered with what may be written."""
    assert "one of client, project" in answer(databases["filled"], "spend_by", by="modle")[0]["spent_by"]


def test_cache_savings_are_told_where_they_are_exact(databases: dict[str, Path]) -> None:
    """Tokens always; money for the prices that were given, and not at all without them."""
    path = databases["filled"]
    rows = answer(path, "cache_savings", days="90")
    assert sum(row["cache_read_tokens"] for row in rows) == summed(path, "sum(cache_read_tokens)")
    assert {row["saved_usd"] for row in rows} == {None}
    priced = answer(path, "cache_savings", days="90", input_price="3", cache_read_price="0.3")
    assert sum(row["saved_usd"] for row in priced) == pytest.approx(summed(path, "sum(cache_read_tokens)") * 2.7 / 1e6)
    (only,) = answer(path, "cache_savings", days="90", model=priced[0]["model"])
    assert only["calls"] == priced[0]["calls"]


def test_error_rates_by_hour(databases: dict[str, Path]) -> None:
    """Errors and broken answers count; calls that the client left do not."""
    rows = answer(databases["filled"], "error_rate", days="90")
    assert sum(row["calls"] for row in rows) == CALLS
    failed = summed(databases["filled"], "count(*)", "outcome IN ('error', 'partial')")
    assert sum(row["calls"] * row["error_percent"] / 100 for row in rows) == pytest.approx(failed)
    assert sum(row["cancelled_or_blocked"] for row in rows) > 0


def test_percentiles_are_those_of_the_view(databases: dict[str, Path]) -> None:
    """The query over all days says what `latency` says, where a model has one upstream."""
    with closing(sqlite3.connect(databases["filled"])) as connection:
        expected = connection.execute("SELECT model, ttft_p95_ms, duration_p99_ms FROM latency").fetchall()
    rows = answer(databases["filled"], "percentiles", days="9000")
    assert sorted((row["model"], row["ttft_p95_ms"], row["duration_p99_ms"]) for row in rows) == sorted(expected)


def test_slow_starts_and_large_prompts_come_first(databases: dict[str, Path]) -> None:
    """The slowest and the largest first, nothing quicker than asked for."""
    slow = [row["ttft_ms"] for row in answer(databases["filled"], "slow_starts", ms="400", days="90")]
    assert slow == sorted(slow, reverse=True)
    assert slow[-1] >= 400
    large = [row["input_tokens"] for row in answer(databases["filled"], "largest_prompts", days="90")]
    assert large == sorted(large, reverse=True)


def test_repeated_prompts(tmp_path: Path) -> None:
    """What was asked more than once, most often first; what was asked once is not there."""
    store = Store(tmp_path / "calls.db")
    for number, prompt in enumerate(["twice", "three times", "once", "three times", "twice", "three times"]):
        call = sample(number, datetime.now(UTC))
        store.write([replace(call, row=call.row | {"prompt": prompt})])
    store.close()
    rows = answer(tmp_path / "calls.db", "repeated_prompts")
    assert [(row["prompt"], row["calls"]) for row in rows] == [("three times", 3), ("twice", 2)]


def test_functions_of_ours_are_there_and_explained(served: dict[str, Browse]) -> None:
    """In SQL that a person types, and on the index page; for the captures only."""
    sql = "select body_text(id, 'request') as body, redact(prompt) as prompt from calls where id = :id"
    (row,) = served["filled"].get("/turnpike.json", sql=sql, id=call_id(4), _shape="array").json()
    assert json.loads(row["body"])["messages"]
    assert row["prompt"].startswith("Please compare")
    index = served["filled"].get("/").text
    assert "body_text(call_id, kind)" in index
    assert "redact(text)" in index


@pytest.mark.parametrize("text", ["a: b: c", "- a list", ""])
def test_broken_metadata_is_told(tmp_path: Path, text: str) -> None:
    """What is no table of descriptions is an error that names the file."""
    broken = tmp_path / "broken.yml"
    broken.write_text(text)
    with pytest.raises(CannotServe, match=r"broken\.yml"):
        make_datasette(tmp_path / "any.db", broken)
