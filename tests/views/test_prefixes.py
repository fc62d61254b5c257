"""addons/views/prefixes.py: what each call goes on from, and where the prompt cache was missed."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from addons.views.prefixes import LIFETIME_MS, UNEXPLAINED, CacheFinding, Follow, Parents, Turn, cache_finding, cache_findings, follow_all


def told(prompts: list[str], systems: list[str] | None = None, models: list[str] | None = None) -> tuple[list[Turn], Parents]:
    """Turns whose prompts are words: a message is known by the words up to it."""
    numbers: dict[tuple[str, ...], int] = {}
    fresh = count(1)
    parents: dict[int, tuple[int | None, int]] = {}
    turns = []
    for at, prompt in enumerate(prompts):
        last = None
        for n, _ in enumerate(prompt.split(), 1):
            key = tuple(prompt.split()[:n])
            parent, last = last, numbers.setdefault(key, 0) or next(fresh)
            numbers[key] = last
            parents[last] = (parent, n)
        system = (1000 + ord(systems[at]),) if systems else ()
        turns.append(Turn(last, system, started_ms=1000 * at, model=models[at] if models else "m"))
    return turns, parents


def kinds(prompts: list[str], **more: list[str]) -> list[tuple[str, int | None]]:
    return [(follow.kind, follow.before) for follow in follow_all(*told(prompts, **more))]


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        pytest.param(["a", "a b c", "a b c d e"], [("start", None), ("continues", 0), ("continues", 1)], id="a plain conversation"),
        pytest.param(["a b", "a b"], [("start", None), ("repeats", 0)], id="asked again"),
        pytest.param(["a", "a b", "a c"], [("start", None), ("continues", 0), ("changes", 1)], id="the last message exchanged"),
        pytest.param(["a", "a b c", "a b"], [("start", None), ("continues", 0), ("rewinds", 1)], id="gone back"),
        pytest.param(["a b c", "x"], [("start", None), ("replaces", 0)], id="compacted"),
        pytest.param(["", "a"], [("unknown", None), ("start", None)], id="nothing is stored of the first"),
        pytest.param(["a b c d", "a b c d e", "a b x"], [("start", None), ("continues", 0), ("changes", 1)], id="of several the latest"),
        pytest.param([], [], id="none"),
    ],
)
def test_calls_go_on_from_the_one_that_they_share_most_with(prompts: list[str], expected: list[tuple[str, int | None]]) -> None:
    """Whatever happened to the history."""
    assert kinds(prompts) == expected


def test_counts_of_what_is_shared_lost_and_new() -> None:
    """As numbers of messages."""
    assert follow_all(*told(["a b c", "a x y z"]))[1] == Follow("changes", 0, 1, shared_n=1, lost_n=2, new_n=3)


def test_a_side_task_is_no_part_of_the_history() -> None:
    """An agent has a title written of the same first message, by a small model: the next call is compared with the one before that."""
    found = kinds(["a", "a", "a b c"], systems=["s", "t", "s"], models=["big", "small", "big"])
    assert found == [("start", None), ("start", None), ("continues", 0)]


def test_parallel_tasks_of_one_session_are_told_apart() -> None:
    """Each goes on from its own."""
    found = kinds(["a", "x", "a b", "x y", "a b c"])
    assert found == [("start", None), ("replaces", 0), ("continues", 0), ("continues", 1), ("continues", 2)]


def test_another_model_goes_on_with_the_same_history() -> None:
    """Where more than the first message is the same, it is the same conversation; a changed system prompt is told."""
    turns, parents = told(["a b c", "a b c d"], systems=["s", "t"], models=["one", "two"])
    follow = follow_all(turns, parents)[1]
    assert (follow.kind, follow.before, follow.system_changed) == ("continues", 0, True)


def test_long_conversations_take_time_in_proportion() -> None:
    """A thousand calls of an agent; damaged chains that go round end."""
    parents = {n: (n - 1 if n > 1 else None, n) for n in range(1, 2001)}
    follows = follow_all([Turn(2 * n) for n in range(1, 1001)], parents)
    assert [follow.before for follow in follows] == [None, *range(999)]
    assert all(follow.kind == "continues" and follow.new_n == 2 for follow in follows[1:])
    assert follow_all([Turn(1), Turn(2)], {1: (2, 1), 2: (1, 2)})[0].kind == "start"


BEFORE = Turn(1, model="m", upstream="u", key_hint="k", started_ms=0, duration_ms=1000.0, cache_read_tokens=4000, cache_write_tokens=500)
GOES_ON = Follow("continues", 0, 1, 1, 0, 2)
EDITED = replace(GOES_ON, kind="changes", lost_n=1)
OTHER_SYSTEM = replace(GOES_ON, system_changed=True)
REPLACES = replace(GOES_ON, kind="replaces")


@pytest.mark.parametrize(
    ("changes", "follow", "expected"),
    [
        pytest.param({"cache_read_tokens": 4500}, GOES_ON, CacheFinding("hit"), id="all of it"),
        pytest.param({"cache_read_tokens": 9000}, GOES_ON, CacheFinding("hit"), id="more: another call left it there"),
        pytest.param({"cache_read_tokens": 4400}, GOES_ON, CacheFinding("hit"), id="a step less"),
        pytest.param({"cache_read_tokens": 4000}, GOES_ON, CacheFinding("miss", 500, (UNEXPLAINED,)), id="it fell without a reason"),
        pytest.param({"cache_read_tokens": None}, GOES_ON, CacheFinding("unknown"), id="unknown is not zero"),
        pytest.param({"cache_read_tokens": 0}, EDITED, CacheFinding("miss", 4500, ("earlier messages changed",)), id="edited"),
        pytest.param({"cache_read_tokens": 0}, OTHER_SYSTEM, CacheFinding("miss", 4500, ("the system prompt changed",)), id="system"),
        pytest.param({"cache_read_tokens": 0}, REPLACES, CacheFinding("miss", 4500, ("the history was replaced",)), id="compacted"),
        pytest.param(
            {"cache_read_tokens": 0, "started_ms": 1000 + 2 * LIFETIME_MS},
            GOES_ON,
            CacheFinding("miss", 4500, ("10 minutes had passed since that call",)),
            id="too late",
        ),
        pytest.param(
            {"cache_read_tokens": 0, "model": "n", "key_hint": "l", "upstream": "v"},
            GOES_ON,
            CacheFinding("miss", 4500, tuple(f"another {what}: caches are kept apart" for what in ("upstream", "key", "model"))),
            id="elsewhere",
        ),
    ],
)
def test_where_the_cache_was_missed(changes: dict[str, object], follow: Follow, expected: CacheFinding) -> None:
    """What the call before read and wrote can be read; less is a miss, with what may explain it."""
    assert cache_finding(replace(BEFORE, **changes), BEFORE, follow) == expected  # type: ignore[arg-type] # told by the table


def test_where_nothing_was_cached_nothing_is_missed() -> None:
    """Neither before nor now; and the first call has nothing to be compared with."""
    none = replace(BEFORE, cache_read_tokens=0, cache_write_tokens=None)
    assert cache_finding(none, none, GOES_ON).state == "none"
    assert cache_finding(BEFORE, none, GOES_ON).state == "hit"
    assert cache_finding(BEFORE, None, Follow("start")).state == "unknown"


def test_a_failed_call_does_not_hide_a_miss() -> None:
    """It told no counts: the one before it is compared with."""
    failed = replace(BEFORE, cache_read_tokens=None, cache_write_tokens=None)
    after = replace(BEFORE, cache_read_tokens=0)
    follows = (Follow("start"), Follow("repeats", 0, 1, 1), Follow("repeats", 1, 1, 1))
    assert [found.state for found in cache_findings([BEFORE, failed, after], follows)] == ["unknown", "unknown", "miss"]
