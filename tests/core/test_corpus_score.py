"""The recorded traffic through `turnpike import`: is the usage right, and the money? (skipped where the recordings are not)

The recordings and the script that judges stay outside the project.
"""

from __future__ import annotations

import importlib.util
import json
import lzma
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from genai_prices import Usage, calc_price

from addons.core.pricing import FREE_HOSTED, TABLE_PROVIDERS
from scripts.launch import program

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
JUDGE = CORPUS / "check_usage.py"
AT_LEAST_PERCENT = 99.5
REALTIME = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
LIVE = "wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
LEAST_PRICED = 250

pytestmark = pytest.mark.skipif(not JUDGE.exists(), reason="the recorded traffic is not here")

Row = dict[str, Any]


def judge() -> ModuleType:
    """The judging script as a module, for how it makes a HAR of the recordings."""
    spec = importlib.util.spec_from_file_location("check_usage", JUDGE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, int], Row]]:
    """(the usage that the recording holds, its row) of every imported recording."""
    module = judge()
    cases = {case["case"]: case for case in module.cases(CORPUS / "wire-open.jsonl.xz")}
    rows = import_har(tmp_path_factory.mktemp("corpus"), [module.entry(case) for case in cases.values()])
    return [((cases[row["tag"]].get("expected") or {}).get("usage") or {}, row) for row in rows]


def import_har(folder: Path, entries: list[dict[str, Any]]) -> list[Row]:
    """The rows that `turnpike import` makes of a HAR, with the configuration as shipped."""
    (folder / "corpus.har").write_text(json.dumps({"log": {"entries": entries}}))
    (folder / "turnpike.yml").write_bytes((ROOT / "config" / "turnpike.yml").read_bytes())
    command = [program("turnpike"), "import", str(folder / "corpus.har"), "--database", str(folder / "corpus.db")]
    subprocess.run([*command, "--config", str(folder / "turnpike.yml")], check=True, capture_output=True)
    connection = sqlite3.connect(folder / "corpus.db")
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute("SELECT * FROM calls")]
    connection.close()
    return rows


def test_usage_is_right() -> None:
    """By the script's own verdict; what is wrong is printed."""
    command = [sys.executable, str(JUDGE), "--turnpike", program("turnpike"), "--verbose", "100", "--at-least", str(AT_LEAST_PERCENT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_usage_of_websocket_sessions_is_right(tmp_path: Path) -> None:
    """The judging script leaves them out: as Chrome and mitmproxy write them, at the providers' own addresses."""
    with lzma.open(CORPUS / "wire-open.jsonl.xz", "rt") as lines:
        cases = {case["case"]: case for line in lines if (case := json.loads(line))["wire"] == "ws"}
    rows = import_har(tmp_path, [session(case) for case in cases.values()])
    assert {row["tag"] for row in rows} == set(cases)
    for row in rows:
        usage = cases[row["tag"]]["expected"]["usage"]
        assert (row["tag"], row["input_tokens"], row["output_tokens"]) == (row["tag"], usage["input"], usage["output"])


def session(case: Row) -> dict[str, Any]:
    """A HAR entry of a WebSocket session."""
    messages = [
        {
            "type": "receive" if frame["dir"] == "received" else "send",
            "time": 1_767_225_600 + n / 10,
            "opcode": 1,
            "data": json.dumps(frame["data"]),
        }
        for n, frame in enumerate(case["frames"])
    ]
    return {
        "startedDateTime": "2026-01-01T00:00:00.000Z",
        "request": {
            "method": "GET",
            "url": LIVE if case["dialect"] == "gemini" else REALTIME,
            "headers": [{"name": "X-Turnpike-Tag", "value": case["case"]}],
        },
        "response": {"status": 101, "headers": [], "content": {}},
        "_webSocketMessages": messages,
    }


def test_cost_is_that_of_genai_prices(imported: list[tuple[dict[str, int], Row]]) -> None:
    """To the last digit, on every recording that it has a price for; and no price is missed or made up.

    Not where only the input was told of an answer that says something: the price of half a call is none.
    """
    wrong, priced = [], 0
    for usage, row in imported:
        if row["cost_source"] == "reported" or row["tokens_source"] != "reported" or row["input_tokens"] is None:
            continue
        half = row["output_tokens"] is None and row["response"]
        want = None if half else table_price(usage, row)
        priced += want is not None
        if want != row["cost_usd"]:
            wrong.append((row["tag"], row["provider"], row["model"], want, row["cost_usd"]))
    assert wrong == []
    assert priced >= LEAST_PRICED


def test_the_provider_s_own_cost_goes_before_a_price(imported: list[tuple[dict[str, int], Row]]) -> None:
    """Where a recording holds one, the row does."""
    given = [(usage["cost"], row) for usage, row in imported if "cost" in usage]
    assert given
    assert [(row["tag"], cost, row["cost_usd"]) for cost, row in given if row["cost_usd"] != pytest.approx(cost)] == []
    assert {row["cost_source"] for _, row in given} == {"reported"}


def table_price(usage: dict[str, int], row: Row) -> float | None:
    """genai-prices' own, of the row's tokens and of what the recording tells beside them; by the first model that it knows."""
    if row["provider"] in FREE_HOSTED:
        return None
    write, write_1h = row["cache_write_tokens"], usage.get("cache_write_1h")
    tokens = Usage(
        input_tokens=usage.get("billed_input", row["input_tokens"]),  # Cohere bills other counts than it reports
        output_tokens=usage.get("billed_output", row["output_tokens"] or 0),
        cache_read_tokens=row["cache_read_tokens"],
        cache_write_tokens=write,
        cache_write_5m_tokens=None if write is None or write_1h is None else write - write_1h,
        cache_write_1h_tokens=write_1h,
        output_reasoning_tokens=row["reasoning_tokens"],
        web_searches=usage.get("web_search"),
    )
    at = datetime.fromtimestamp(row["ts_ms"] / 1000, UTC)
    for model in (row["response_model"], row["served_model"], row["model"]):
        try:
            if model:
                provider = TABLE_PROVIDERS.get(row["provider"] or "")
                return float(calc_price(tokens, model, provider_id=provider, genai_request_timestamp=at).total_price)
        except (LookupError, ValueError):
            continue
    return None
