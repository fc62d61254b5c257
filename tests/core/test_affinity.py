"""Which key a conversation stays on."""

from __future__ import annotations

import pytest

from addons.core import affinity
from addons.core.affinity import Affinity
from tests.core.pools import make_key


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was longest not asked for is forgotten first."""
    monkeypatch.setattr(affinity, "CONVERSATIONS", 2)
    keys, known = [make_key(), make_key(), make_key()], Affinity()
    known.remember("1", keys[0])
    known.remember("2", keys[1])
    assert known.of("1") is keys[0]
    known.remember("3", keys[2])
    assert (known.of("1"), known.of("2"), known.of("3"), known.of(None)) == (keys[0], None, keys[2], None)


def test_only_some_keys_may_stay() -> None:
    """Conversations of the others begin anew."""
    keys, known = [make_key(), make_key()], Affinity()
    known.remember("1", keys[0])
    known.remember("2", keys[1])
    rest = known.among(keys[:1])
    assert (rest.of("1"), rest.of("2")) == (keys[0], None)
