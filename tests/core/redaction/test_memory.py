"""A memory gives back what it was given, holds no text, and stays small."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from addons.core.redaction.memory import Memory, Trace, digests

TRACE = Trace(1, 2, "rule", True, 1, False)


def test_what_was_put_is_got() -> None:
    """Also that nothing was found; what is not known is None."""
    memory = Memory()
    memory.put(b"a", [TRACE])
    memory.put(b"b", [])
    assert (memory.get(b"a"), memory.get(b"b"), memory.get(b"c")) == ((TRACE,), (), None)


def test_it_is_bounded_and_keeps_what_is_asked_for() -> None:
    """Old entries go; one that is used stays."""
    memory = Memory(200_000)
    memory.put(b"kept", [TRACE])
    for number in range(20_000):
        memory.put(b"%d" % number, [TRACE] * (number % 3))
        assert memory.get(b"kept") == (TRACE,)
    assert memory.get(b"0") is None
    held = sum(map(sys.getsizeof, (memory._young, memory._old, memory._traces)))
    held += sum(sys.getsizeof(key) + sys.getsizeof(found) for half in (memory._young, memory._old) for key, found in half.items())
    assert held < 2 * 200_000


def test_a_piece_full_of_findings_is_not_kept() -> None:
    """It would push out all others."""
    memory = Memory()
    memory.put(b"a", [TRACE] * 100_000)
    assert memory.get(b"a") is None


def test_keys_depend_on_identity_and_text() -> None:
    """And on where one ends and the other begins."""
    made = [*digests(b"x", [b"a", b"b"]), *digests(b"y", [b"a"]), *digests(b"xa", [b""]), *digests(b"", [b"xa"])]
    assert len(set(made)) == 5
    assert digests(b"x", [b"a"]) == made[:1]
    memory = Memory()
    assert memory.serial() != memory.serial()


def test_threads_may_share_it() -> None:
    """Nothing raises, and what is got is what was put."""
    memory = Memory(30_000)

    def work(start: int) -> bool:
        for number in range(start, start + 3000):
            key = b"%d" % (number % 500)
            memory.put(key, [TRACE._replace(start=number % 500)])
            found = memory.get(key)
            if found is not None and found[0].start != number % 500:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_many_are_asked_for_at_once() -> None:
    """Of both generations, and what is asked for stays."""
    memory = Memory(1000)
    memory.put(b"old", [])
    for number in range(3):
        memory.put(b"%d" % number, [])
    assert memory.missing({b"old", b"2", b"x"}) == {b"x"}
    assert b"old" in memory._young
