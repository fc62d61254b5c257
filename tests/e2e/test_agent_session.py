"""An agent that sends its whole history with every call is stored once, byte for byte."""

from __future__ import annotations

import io
import json
import sysconfig
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from addons.core.call import CallRecord, CapturedBody
from addons.core.conversations import Conversations
from addons.core.digest import Digest
from addons.core.pricing import Prices
from addons.core.redaction.redactor import Redactor
from addons.storage.store import Store

TURNS, UNIQUE_BYTES, PER_CALL_BYTES, TIMES_UNIQUE = 40, 2_000_000, 2_000, 2.0
HEADERS = (("content-type", "application/json"),)


def texts() -> Callable[[int], str]:
    """Gives the next so many characters of what an agent reads: source files, those of Python's own library."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    source = io.StringIO("".join(path.read_text(errors="replace") for path in sorted(folder.glob("*.py"))))
    return source.read


def session() -> list[tuple[bytes, bytes]]:
    """Request and answer of each call."""
    text, calls = texts(), []
    history: list[dict[str, Any]] = []
    system = {"role": "system", "content": text(20_000)}
    for turn in range(TURNS):
        asked, said = text(UNIQUE_BYTES // TURNS - 1_500), text(1_000)
        history.append({"role": "user" if turn == 0 else "tool", "content": asked, **({"tool_call_id": f"call_{turn}"} if turn else {})})
        request = json.dumps({"model": "gpt-4o", "messages": [system, *history]}).encode()
        call = {"id": f"call_{turn + 1}", "type": "function", "function": {"name": "read", "arguments": json.dumps({"path": f"f{turn}"})}}
        message = {"role": "assistant", "content": said, "tool_calls": [call]}
        answer = {"model": "gpt-4o", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
        history.append(message)
        calls.append((request, json.dumps(answer | {"usage": {"prompt_tokens": 9, "completion_tokens": 1}}).encode()))
    return calls


def record(turn: int, request: bytes, answer: bytes) -> CallRecord:
    """As the Recorder hands it over."""
    return CallRecord(
        id=f"01AGENT{turn:019}",
        started_ms=1_760_000_000_000 + turn,
        method="POST",
        host="api.openai.com",
        path="/v1/chat/completions",
        api="openai.chat",
        provider="openai",
        status=200,
        request=CapturedBody(HEADERS, request, len(request)),
        response=CapturedBody(HEADERS, answer, len(answer), chunks=[(5.0, len(answer))]),
    )


def test_a_long_session_is_stored_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At most twice the unique text and 2 kB a call, full-text index included; and every body comes back."""
    calls = session()
    digest = Digest(Redactor(), Prices({}), Conversations(1000), True, 16 * 2**20)
    path = tmp_path / "agent.db"
    with closing(Store(path)) as store:
        for turn, (request, answer) in enumerate(calls):
            store.write([digest(record(turn, request, answer))])
        for turn, (request, answer) in enumerate(calls):
            bodies = [store.body(f"01AGENT{turn:019}", kind) for kind in ("request", "response")]
            assert [body and body.content for body in bodies] == [request, answer]
        conversations = {str((store.call(f"01AGENT{turn:019}") or {})["conversation_id"]) for turn in range(TURNS)}
    assert len(conversations) == 1
    unique = len(calls[-1][0]) + len(calls[-1][1])
    naive, stored = sum(len(request) + len(answer) for request, answer in calls), path.stat().st_size
    with capsys.disabled():
        print(f"\n{TURNS} turns: {unique:,} bytes of unique text, {naive:,} sent, {stored:,} stored ({stored / unique:.2f} of unique)")
    assert stored <= TIMES_UNIQUE * unique + PER_CALL_BYTES * TURNS
