"""HAR 1.2: valid, of use to browsers, and the same calls when it is imported again."""

from __future__ import annotations

import base64
import json
import secrets
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from addons.core.call import StoredCall
from addons.storage.database import open_reader
from scripts.exporting.har import entry, pieces
from scripts.exporting.selection import Selection
from scripts.importing.importer import Tally
from tests.scripts.exporting.samples import captures_of, ids, rich_call, run_import, stored

REQUIRED: dict[str, dict[str, type | tuple[type, ...]]] = {
    "entry": {"startedDateTime": str, "time": (int, float), "request": dict, "response": dict, "cache": dict, "timings": dict},
    "request": {
        "method": str,
        "url": str,
        "httpVersion": str,
        "cookies": list,
        "headers": list,
        "queryString": list,
        "headersSize": int,
        "bodySize": int,
    },
    "response": {
        "status": int,
        "statusText": str,
        "httpVersion": str,
        "cookies": list,
        "headers": list,
        "content": dict,
        "redirectURL": str,
        "headersSize": int,
        "bodySize": int,
    },
    "content": {"size": int, "mimeType": str},
    "postData": {"mimeType": str, "text": str},
}
"""What the specification wants to be there, and of which type (http://www.softwareishard.com/blog/har-12-spec/)."""

OPTIONAL = {
    "entry": {"pageref", "serverIPAddress", "connection", "comment"},
    "request": {"postData", "comment"},
    "response": {"comment"},
    "content": {"text", "encoding", "compression", "comment"},
    "postData": {"params", "comment"},
}


def exported(database: Path, selection: Selection | None = None) -> bytes:
    with closing(open_reader(database)) as connection:
        return b"".join(pieces(captures_of(connection, selection)))


@pytest.fixture(scope="module")
def log(filled: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(exported(filled))["log"]
    return found


def check(kind: str, value: dict[str, Any]) -> None:
    assert all(isinstance(value.get(name), types) for name, types in REQUIRED[kind].items()), value
    assert {name for name in value if not name.startswith("_")} <= REQUIRED[kind].keys() | OPTIONAL[kind], value


def test_it_is_valid(log: dict[str, Any]) -> None:
    """By the specification: fields and types, pairs, times; fields of ours begin with an underscore."""
    assert log["version"] == "1.2"
    assert log["creator"]["name"] == "Turnpike" and log["creator"]["version"]
    assert [found["startedDateTime"] for found in log["entries"]] == sorted(found["startedDateTime"] for found in log["entries"])
    for found in log["entries"]:
        check("entry", found)
        check("request", found["request"])
        check("response", found["response"])
        check("content", found["response"]["content"])
        if "postData" in found["request"]:
            check("postData", found["request"]["postData"])
        for message in (found["request"], found["response"]):
            for pair in (*message["headers"], *message["cookies"], *message.get("queryString", ())):
                assert isinstance(pair["name"], str) and isinstance(pair["value"], str)
        assert datetime.fromisoformat(found["startedDateTime"]).tzinfo


def test_times_are_the_sum_of_their_steps(log: dict[str, Any]) -> None:
    """send, wait and receive are always there and not negative; the others are -1 where they are not known."""
    for found in log["entries"]:
        steps = found["timings"]
        assert min(steps["send"], steps["wait"], steps["receive"]) >= 0
        assert all(value >= 0 or value == -1 for value in steps.values())
        assert found["time"] == pytest.approx(sum(value for value in steps.values() if value > 0), abs=0.001)
    row = rich_call("x").row | {"connect_ms": None, "ttfb_ms": None, "error": None}
    assert entry(replace(rich_call("x"), row=row))["time"] == pytest.approx(1234.568)
    odd: tuple[dict[str, Any], ...] = ({"duration_ms": None}, {"ttfb_ms": 9e3, "connect_ms": 9.5e3}, {"ttfb_ms": 9e3, "duration_ms": None})
    for columns in odd:
        steps = entry(replace(rich_call("x"), row=row | columns))["timings"]
        assert min(value for value in steps.values() if value != -1) >= 0


def test_what_is_sent_and_what_comes(log: dict[str, Any]) -> None:
    """Address with query, cookies, bodies as text or base64, no answer as status 0, a WebSocket's messages."""
    by_path = {found["request"]["url"]: found for found in log["entries"]}
    cookies = by_path["https://api.openai.com/v1/chat/completions?trace=a%20b&empty="]
    assert cookies["request"]["queryString"] == [{"name": "trace", "value": "a b"}, {"name": "empty", "value": ""}]
    assert [cookie["name"] for cookie in cookies["request"]["cookies"]] == ["theme", "sid"]
    assert cookies["response"]["cookies"][0] | {"value": ""} == {"name": "sid", "value": "", "path": "/", "httpOnly": True, "secure": False}
    assert cookies["response"]["redirectURL"] == "/elsewhere"
    rich = log["entries"][-1]
    assert base64.b64decode(rich["request"]["postData"]["text"]) == b'{"messages": [\xff\x00 cut'
    assert rich["request"]["postData"]["_encoding"] == "base64"
    assert rich["response"]["content"] == {"size": 10, "mimeType": "text/event-stream", "compression": 10 - 456, "text": "data: {}\n\n"}
    assert sorted(found["response"]["status"] for found in log["entries"])[:2] == [0, 101]
    assert any(found["response"]["content"].get("encoding") == "base64" for found in log["entries"])
    socket = by_path["wss://api.openai.com/v1/realtime?model=m"]
    assert [message["type"] for message in socket["_webSocketMessages"]] == ["send", "receive", "receive"]


def test_a_server_of_this_machine_is_without_tls() -> None:
    """The scheme is not kept; IPv6 addresses stand in brackets."""

    def url(**columns: Any) -> str:
        made: StoredCall = replace(rich_call("x"), row=rich_call("x").row | {"connect_ms": None, "ttfb_ms": None, "error": None} | columns)
        return str(entry(made)["request"]["url"])

    assert url(host="localhost", path="/api/chat") == "http://localhost/api/chat"
    assert url(host="::1", path="/api/chat") == "http://[::1]/api/chat"
    assert url(host="2001:db8::1", path="/") == "https://[2001:db8::1]/"


def test_it_comes_back_as_the_same_calls(filled: Path, tmp_path: Path) -> None:
    """With their ids, so that nothing doubles; only messages that are in no body are not there."""
    (tmp_path / "calls.har").write_bytes(exported(filled))
    other = tmp_path / "other.db"
    assert run_import(tmp_path / "calls.har", other) == Tally(new=len(ids(filled)))
    *expected, _ = stored(filled)
    *found, rich = stored(other)
    assert found == expected
    made_up = replace(rich_call(ids(filled)[0]), messages=(), answers=0)
    assert replace(rich, row={name: rich.row[name] for name in made_up.row}, messages=(), answers=0) == made_up
    assert run_import(tmp_path / "calls.har", filled) == Tally(known=len(ids(filled)))
    assert run_import(tmp_path / "calls.har", other) == Tally(known=len(ids(filled)))


def test_nothing_that_is_a_secret_leaves(captures: Path) -> None:
    """Also what an older version stored as it came: headers, cookies, the query, bodies."""
    token = "sk-" + secrets.token_hex(24)
    with closing(sqlite3.connect(captures)) as connection, connection:
        connection.execute("UPDATE calls SET path = ?", (f"/v1/chat/completions?api_key={token}&q={token}",))
        headers = [["Authorization", f"Bearer {token}"], ["Cookie", f"sid={token}"], ["Set-Cookie", f"sid={token}"], ["X-Note", token]]
        connection.execute("UPDATE bodies SET headers = ?", (json.dumps(headers),))
    text = exported(captures).decode()
    assert text.count("api_key=***") == 2 * len(ids(captures))  # in the address, and in what an import knows it by
    assert token not in text


def test_a_har_of_no_calls_is_one(filled: Path) -> None:
    """An empty list of entries."""
    assert json.loads(exported(filled, Selection(where="0")))["log"]["entries"] == []
