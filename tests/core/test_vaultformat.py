"""The encrypted file's bytes."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.vaultformat import (
    CHECKSUM_BYTES,
    COST,
    NONCE_BYTES,
    SALT_BYTES,
    Cost,
    DamagedVault,
    VaultError,
    WrongPassphrase,
    salt_of,
    seal,
    unseal,
)

CHEAP = Cost(log2_n=2)
SALT, NONCE = b"s" * SALT_BYTES, b"n" * NONCE_BYTES
PASSPHRASE = "a passphrase, for tests"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def sealed(keys: dict[str, str] | None = None, cost: Cost = CHEAP) -> bytes:
    """A vault with these keys, or with one."""
    return seal({"openai": "k" * 20} if keys is None else keys, PASSPHRASE, SALT, NONCE, cost)


def with_checksum(body: bytes) -> bytes:
    """What somebody makes who changes a file and knows its format."""
    return body + sha256(body).digest()


@given(keys=st.dictionaries(TEXTS, TEXTS, max_size=5), passphrase=TEXTS)
def test_what_was_sealed_comes_back(keys: dict[str, str], passphrase: str) -> None:
    """Any names and keys, under any passphrase."""
    assert unseal(seal(keys, passphrase, SALT, NONCE, CHEAP), passphrase) == keys


def test_nothing_stands_there_in_clear() -> None:
    """Neither a name, nor a key, nor the passphrase."""
    key = secrets.token_hex(16)
    data = seal({"openai-main": key}, PASSPHRASE, SALT, NONCE, CHEAP)
    assert not [text for text in ("openai-main", key, PASSPHRASE) if text.encode() in data]


def test_the_default_cost_is_a_high_one() -> None:
    """128 MiB for each guess, and written into the file."""
    assert 128 * COST.r << COST.log2_n == 128 * 2**20
    assert seal({}, PASSPHRASE, SALT, NONCE)[5:8] == bytes([17, 8, 1])


@given(at=st.integers(0, len(sealed()) - 1), flip=st.integers(1, 255))
def test_every_damaged_byte_is_seen(at: int, flip: int) -> None:
    """Before the passphrase is stretched, and told apart from a wrong passphrase."""
    data = bytearray(sealed())
    data[at] ^= flip
    with pytest.raises(DamagedVault):
        unseal(bytes(data), PASSPHRASE)
    with pytest.raises(DamagedVault):
        salt_of(bytes(data))


@given(at=st.integers(8, len(sealed()) - CHECKSUM_BYTES - 1), flip=st.integers(1, 255))
def test_what_was_changed_on_purpose_is_not_opened(at: int, flip: int) -> None:
    """A byte of salt, nonce, content or tag, with a checksum that fits again."""
    body = bytearray(sealed()[:-CHECKSUM_BYTES])
    body[at] ^= flip
    with pytest.raises(WrongPassphrase):
        unseal(with_checksum(bytes(body)), PASSPHRASE)


def test_another_passphrase_is_told() -> None:
    """In other words than damage, and without the passphrase or anything of the content."""
    with pytest.raises(WrongPassphrase) as caught:
        unseal(sealed(), "another")
    assert "another" not in str(caught.value)


@given(length=st.integers(0, len(sealed()) - 1))
def test_a_cut_file_is_damaged(length: int) -> None:
    """Wherever it was cut."""
    with pytest.raises(DamagedVault):
        unseal(sealed()[:length], PASSPHRASE)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_vault_error(data: bytes) -> None:
    """Also those that begin like a vault."""
    for prefix in (b"", b"TPKV\x01", b"TPKV\x02"):
        with pytest.raises(VaultError):
            unseal(prefix + data, PASSPHRASE)


def test_a_newer_version_is_named() -> None:
    """Not called damaged."""
    with pytest.raises(DamagedVault, match="newer Turnpike"):
        unseal(b"TPKV\x02" + sealed()[5:], PASSPHRASE)


@pytest.mark.parametrize("cost", [(0, 8, 1), (17, 0, 1), (17, 8, 0), (17, 8, 17), (21, 8, 1), (255, 255, 1)])
def test_a_file_cannot_ask_for_all_memory(cost: tuple[int, int, int]) -> None:
    """Costs beyond reason are refused before they are paid."""
    body = bytearray(sealed()[:-CHECKSUM_BYTES])
    body[5:8] = bytes(cost)
    with pytest.raises(DamagedVault, match="more memory"):
        unseal(with_checksum(bytes(body)), PASSPHRASE)


@pytest.mark.parametrize("content", [{"a": 1}, {"a": {"b": "c"}}, {"a": None}])
def test_other_content_than_names_and_keys_is_refused(content: Any) -> None:
    """As another program might write with the same passphrase; nothing of it is told."""
    with pytest.raises(DamagedVault, match="something else than names and keys"):
        unseal(seal(content, PASSPHRASE, SALT, NONCE, CHEAP), PASSPHRASE)


def test_the_salt_can_be_kept() -> None:
    """It is read without the passphrase."""
    assert salt_of(sealed()) == SALT


def test_an_accent_may_be_typed_in_two_ways() -> None:
    """One letter with an accent, or a letter and an accent."""
    assert unseal(seal({}, "caf\u00e9", SALT, NONCE, CHEAP), "cafe\u0301") == {}


def test_a_passphrase_of_odd_bytes_works() -> None:
    """As an environment has them that is not UTF-8."""
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert unseal(seal({"a": "b"}, odd, SALT, NONCE, CHEAP), odd) == {"a": "b"}
