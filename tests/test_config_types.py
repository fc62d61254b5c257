"""The kinds of value."""

from __future__ import annotations

import secrets

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from addons.config import Keep, KeySource
from addons.config_types import is_vault_name, parse_size
from addons.storage.retention import Limits


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (5, 5),
        ("5", 5),
        ("100 kB", 100_000),
        ("64 MiB", 64 * 2**20),
        ("10GiB", 10 * 2**30),
        ("1.5 kib", 1536),
        ("2 GB", 2 * 10**9),
        ("7 B", 7),
    ],
)
def test_sizes_are_bytes(text: object, size: int) -> None:
    """Decimal and binary units, with or without a blank, in any case."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", -1, 0, True, "1 XB", "1e3", None, "1 MiB more"])
def test_what_is_no_size_is_refused(text: object) -> None:
    """Nothing is guessed, and no size is nothing at all."""
    with pytest.raises(PydanticCustomError, match="write bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("name", "good"),
    [("openai-main", True), ("a", True), ("team.a_b@c-2", True), ("x" * 100, True)]
    + [(name, False) for name in ("", "-a", ".a", "a b", "a/b", "é", "x" * 101, "a\n")],
)
def test_names_of_keys_in_the_vault(name: str, good: bool) -> None:
    """They stand in the configuration, on the command line and in the log."""
    assert is_vault_name(name) == good


@pytest.mark.parametrize("prefix", ["sk-proj-", "gsk_", "AIza", ""])
def test_a_key_is_no_name_of_one(prefix: str) -> None:
    """Names are shown, so that what looks like a key is taken for one: in the vault and in a keyring."""
    key = prefix + secrets.token_hex(16)
    assert not is_vault_name(key)
    for given in ({"vault": key}, {"keyring": f"turnpike/{key}"}):
        with pytest.raises(ValidationError, match="never the key itself"):
            KeySource.model_validate(given)


def test_how_long_captures_stay() -> None:
    """Days and a size, each with a word for no limit; nothing that is no number."""
    assert Keep().limits == Limits(30, 10 * 2**30)
    assert Keep.model_validate({"days": 0.5, "max_size": "2 GB"}).limits == Limits(0.5, 2 * 10**9)
    assert Keep.model_validate({"days": "forever", "max_size": "unlimited"}).limits == Limits(None, None)
    for wrong in ({"days": 0}, {"days": float("inf")}, {"days": float("nan")}, {"days": True}, {"days": "always"}, {"max_size": "all"}):
        with pytest.raises(ValidationError):
            Keep.model_validate(wrong)
