"""Placeholders: the same for the same secret, of nobody else's knowledge, and forgotten in time."""

from __future__ import annotations

import secrets

import pytest

from addons.core.redaction import placeholders
from addons.core.redaction.placeholders import SHAPE, PlaceholderMaps
from addons.core.redaction.restore_text import Shape
from addons.core.redaction.scanner import scan

KEY = secrets.token_bytes(32)


def new_secret() -> str:
    return secrets.token_hex(20)


def test_a_secret_has_one_placeholder() -> None:
    """From turn to turn, from conversation to conversation, found by whichever rule, and after a restart with the same key."""
    secret = new_secret()
    maps, again = PlaceholderMaps(KEY), PlaceholderMaps(KEY)
    first = maps.map_for("a", "1", 0).placeholder(secret, "rule")
    assert maps.map_for("a", "1", 9).placeholder(secret, "other-rule") == first
    assert maps.map_for("a", "2", 9).placeholder(secret, "rule") == first
    assert again.map_for("a", "1", 0).placeholder(secret, "rule") == first
    assert maps.map_for("a", "1", 9).secret(first) == secret


def test_another_client_or_key_has_another_placeholder() -> None:
    """So that nobody can ask what another's stands for, or tell that two have the same secret."""
    secret = new_secret()
    maps = PlaceholderMaps(KEY)
    made = maps.map_for("a", "1", 0).placeholder(secret)
    assert maps.map_for("b", "1", 0).placeholder(secret) != made
    assert maps.map_for("b", "1", 0).secret(made) is None
    assert PlaceholderMaps(secrets.token_bytes(32)).map_for("a", "1", 0).placeholder(secret) != made


def test_only_the_conversation_that_made_it_knows_it() -> None:
    """Also of the same client."""
    maps = PlaceholderMaps(KEY)
    made = maps.map_for("a", "1", 0).placeholder(new_secret())
    assert maps.map_for("a", "2", 0).secret(made) is None


def test_a_placeholder_stands_for_itself() -> None:
    """One that was left in a text is not swapped again."""
    found = PlaceholderMaps(KEY).map_for("a", "1", 0)
    made = found.placeholder(new_secret())
    assert found.placeholder(made) == made


def test_placeholders_are_no_secrets_and_differ() -> None:
    """None of our own rules takes one for a token; all have the shape."""
    found = PlaceholderMaps(KEY).map_for("a", "1", 0)
    made = {found.placeholder(new_secret()) for _ in range(1000)}
    assert len(made) == 1000
    assert {len(placeholder) for placeholder in made} == {Shape(SHAPE).length}
    assert not scan(" ".join(made).encode())


def test_two_secrets_never_share_a_placeholder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hashes are the same, and where a secret holds what would stand for it, the next one is taken."""
    numbers = iter(["QVK1", "QVK1", "QVK2", "QVK3", "QVK4"])
    monkeypatch.setattr(Shape, "write", lambda self, number: next(numbers))
    found = PlaceholderMaps(KEY).map_for("a", "1", 0)
    assert [found.placeholder(secret) for secret in ("one", "two", "has QVK3 in it")] == ["QVK1", "QVK2", "QVK4"]


def test_any_text_has_a_placeholder() -> None:
    """Half a surrogate pair, line ends, nothing."""
    found = PlaceholderMaps(KEY).map_for("\ud800", "1", 0)
    for secret in ("\ud800\n", "-----BEGIN\nKEY-----", ""):
        assert found.secret(found.placeholder(secret)) == secret


def test_a_snapshot_does_not_change() -> None:
    """What is learnt later is not in it."""
    found = PlaceholderMaps(KEY).map_for("a", "1", 0)
    made = found.placeholder("one")
    before = found.snapshot()
    later = found.placeholder("two")
    assert before.restored(f"{made} {later}".encode(), 1) == f"one {later}".encode()
    assert found.secrets() == ("one", "two")


def test_a_map_is_forgotten_after_its_last_use() -> None:
    """Used in time it stays."""
    maps = PlaceholderMaps(KEY, ttl_s=10)
    made = maps.map_for("a", "1", 0).placeholder("one")
    assert maps.map_for("a", "1", 9).secret(made) == "one"
    assert maps.map_for("a", "1", 18).secret(made) == "one"
    assert maps.map_for("a", "1", 28).secret(made) is None


def test_the_longest_unused_map_makes_room() -> None:
    """In number and in bytes; the one that is asked for always stays."""
    maps = PlaceholderMaps(KEY, max_maps=2)
    for conversation in ("1", "2", "1", "3"):
        maps.map_for("a", conversation, 0).placeholder(conversation)
    assert len(maps) == 2
    assert [len(maps.map_for("a", conversation, 0).secrets()) for conversation in ("1", "3", "2")] == [1, 1, 0]
    maps = PlaceholderMaps(KEY, max_bytes=5000)
    for number in range(50):
        maps.map_for("a", str(number), 0).placeholder(new_secret())
    assert 5 < len(maps) < 25 and maps.size_bytes <= 6000


def test_a_forgotten_map_still_serves_the_call_that_has_it() -> None:
    """And counts no more."""
    maps = PlaceholderMaps(KEY, max_maps=1)
    old = maps.map_for("a", "1", 0)
    made = old.placeholder("one")
    maps.map_for("a", "2", 0)
    old.placeholder("two")
    assert old.secret(made) == "one" and maps.size_bytes == 0


def test_a_map_forgets_its_longest_unused_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number and in bytes, and the sizes are counted back."""
    monkeypatch.setattr(placeholders, "MAX_MAP_ENTRIES", 3)
    maps = PlaceholderMaps(KEY)
    found = maps.map_for("a", "1", 0)
    made = [found.placeholder(secret) for secret in ("one", "two", "three", "one", "four")]
    assert [found.secret(placeholder) for placeholder in made] == ["one", None, "three", "one", "four"]
    assert found.placeholder("two") == made[1]
    monkeypatch.setattr(placeholders, "MAX_MAP_BYTES", 1000)
    found.placeholder("x" * 5000)
    assert found.secrets() == ("x" * 5000,)
    assert maps.size_bytes == found.size_bytes < 30_000
    found.placeholder("y")
    assert found.secrets() == ("y",)


def test_nothing_shows_a_secret() -> None:
    """Neither maps nor what is made of them, in logs or tracebacks."""
    secret = new_secret()
    maps = PlaceholderMaps(KEY)
    found = maps.map_for("a", "1", 0)
    made = found.placeholder(secret)
    shown = f"{maps!r}{found!r}{found.snapshot()!r}{found.shape!r}"
    assert secret not in shown and made not in shown and KEY.hex() not in shown


def test_a_key_is_long() -> None:
    """A short one could be tried out."""
    with pytest.raises(ValueError, match="16 bytes"):
        PlaceholderMaps(b"short")
