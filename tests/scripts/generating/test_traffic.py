"""Made-up traffic: the same for the same seed, and shaped like real traffic."""

from __future__ import annotations

from itertools import pairwise

from addons.core.call import StoredCall
from scripts.generating.traffic import DAY_MS, Traffic

UNTIL_MS = 1_800_000_000_000


def traffic(seed: int = 1) -> Traffic:
    """A hundred calls over ten days."""
    return Traffic(seed=seed, calls=100, body_bytes=1_000_000, days=10, until_ms=UNTIL_MS)


def some(made: Traffic) -> list[StoredCall]:
    """The calls of its first conversations."""
    return [call for number in range(10) for call in made.conversation(number, number * 10)]


def test_the_same_seed_gives_the_same_calls() -> None:
    """And another seed gives others."""
    assert some(traffic()) == some(traffic())
    assert some(traffic()) != some(traffic(seed=2))


def test_a_conversation_sends_its_history_again() -> None:
    """Each answered call's messages are the beginning of the next one's."""
    made = traffic()
    number = next(number for number in range(100) if made.length(number) > 4)
    calls = [call for call in made.conversation(number, 0) if call.row["outcome"] == "ok"]
    for earlier, later in pairwise(calls):
        assert later.messages[: len(earlier.messages)] == earlier.messages


def test_calls_lie_within_the_days() -> None:
    """None is later than the end or earlier than the beginning, and ids differ."""
    calls = some(traffic())
    assert all(UNTIL_MS - 10 * DAY_MS <= int(call.row["ts_ms"] or 0) <= UNTIL_MS for call in calls)
    assert len({call.row["id"] for call in calls}) == len(calls)
