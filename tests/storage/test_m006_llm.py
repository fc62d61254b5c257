"""addons/storage/m006_llm.py: queries written for llm's logs."""

from __future__ import annotations

import json

from addons.core.call import Message, Part
from addons.storage.store import Store
from tests.storage.support import full_call, rows, say, stored_call

LLM_COLUMNS = [
    *("id", "model", "prompt", "system", "prompt_json", "options_json", "response", "response_json", "conversation_id", "duration_ms"),
    *("datetime_utc", "input_tokens", "output_tokens", "token_details", "schema_id", "resolved_model", "reasoning"),
]
OWN_COLUMNS = [
    *("conversation_id", "calls", "first_at", "last_at", "span_s", "client", "models", "input_tokens", "output_tokens"),
    *("cache_read_tokens", "cost_usd", "tool_calls", "not_ok", "first_prompt", "last_response"),
]


def test_a_call_is_a_response_of_a_conversation(store: Store) -> None:
    """The join that everybody writes, with the texts whole and in order."""
    long = "where is the aardvark " * 100
    call = stored_call(
        columns={"conversation_id": "c7", "prompt": long[:300], "response": "think", "reasoning_tokens": 3, "response_model": "gpt-4o-1"},
        messages=(
            say("system", "be brief"),
            say("user", long),
            Message("user", (Part("tool_result", "ignored", {"id": "x"}),)),
            Message("assistant", (Part("reasoning", "hm"), Part("text", "in the"), Part("text", "garden"))),
        ),
        answers=1,
    )
    store.write([call])
    sql = """
      SELECT responses.id, responses.model, prompt, system, response, reasoning, duration_ms, datetime_utc, token_details, resolved_model,
             conversations.name, conversations.model
      FROM responses JOIN conversations ON responses.conversation_id = conversations.id WHERE conversations.id = 'c7'
    """
    (row,) = rows(store, sql)
    details = json.dumps({"reasoning_tokens": 3}, separators=(",", ":"))
    expected = (call.row["id"], "gpt-4o", long, "be brief", "in the\ngarden", "hm", 120, "2026-11-21T11:29:00.123Z", details, "gpt-4o-1")
    assert row == (*expected, long[:100], "gpt-4o")


def test_what_is_not_known_is_null(store: Store) -> None:
    """Excerpts stand in where no messages were kept; a call that said nothing is no response."""
    store.write([stored_call(columns={"prompt": "short", "duration_ms": None}), stored_call()])
    found = rows(
        store, "SELECT prompt, system, prompt_json, response, duration_ms, token_details, resolved_model, reasoning FROM responses"
    )
    assert found == [("short", *[None] * 7)]


def test_columns(store: Store) -> None:
    """`responses` has llm's; `conversations` keeps its own, and llm's come after them."""
    assert [row[1] for row in rows(store, "PRAGMA table_info(responses)")] == LLM_COLUMNS
    assert [row[1] for row in rows(store, "PRAGMA table_info(conversations)")] == [*OWN_COLUMNS, "id", "name", "model"]


def test_one_response_is_found_by_an_index(store: Store) -> None:
    """And the newest ones do not sort the whole table."""
    store.write([full_call()])
    for sql in ("SELECT prompt FROM responses WHERE id = 'x'", "SELECT * FROM responses ORDER BY datetime_utc DESC LIMIT 3"):
        plan = [row[3] for row in rows(store, f"EXPLAIN QUERY PLAN {sql}")]
        assert not [step for step in plan if step in ("SCAN c", "USE TEMP B-TREE FOR ORDER BY") and "id = " in sql], plan
        assert any("USING INDEX" in step and step.startswith(("SCAN c", "SEARCH c")) for step in plan), plan
