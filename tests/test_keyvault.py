"""The encrypted file on disk."""

from __future__ import annotations

import os
import secrets
import stat
import threading
from pathlib import Path

import pytest

from addons.core import vaultformat
from addons.core.vaultformat import DamagedVault, VaultError, WrongPassphrase, salt_of
from addons.keyvault import VaultFile

PASSPHRASE = "a passphrase, for tests"


@pytest.fixture
def file(tmp_path: Path) -> VaultFile:
    return VaultFile(tmp_path / "data" / "keys.vault")


def put(file: VaultFile, passphrase: str = PASSPHRASE, **keys: str) -> None:
    file.change(passphrase, lambda there: there.update(keys))


def read(file: VaultFile, passphrase: str = PASSPHRASE) -> dict[str, str]:
    return file.read(lambda: passphrase)


def test_keys_are_added_and_taken_out(file: VaultFile) -> None:
    """The first makes the file; each change keeps the rest."""
    assert not file.exists()
    put(file, a="1" * 12)
    put(file, b="2" * 12)
    assert read(file) == {"a": "1" * 12, "b": "2" * 12}
    file.change(PASSPHRASE, lambda keys: keys.__delitem__("a"))
    assert read(file) == {"b": "2" * 12}


def test_it_is_for_its_owner_only(file: VaultFile) -> None:
    """The file and the folder that was made for it, whatever the umask; a file that was opened wide is narrow again after a change."""
    old = os.umask(0)
    try:
        put(file, a="1" * 12)
        file.path.chmod(0o644)
        put(file, b="2" * 12)
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_nothing_is_written_in_clear(file: VaultFile) -> None:
    """No file in the folder holds a name or a key."""
    key = secrets.token_hex(16)
    put(file, openai_main=key)
    content = b"".join(path.read_bytes() for path in file.path.parent.iterdir())
    assert key.encode() not in content and b"openai_main" not in content


def test_each_writing_has_its_own_nonce_and_the_same_salt(file: VaultFile) -> None:
    """So that a running proxy, which has stretched the passphrase once, need not again."""
    vaultformat._stretch.cache_clear()
    put(file, a="1" * 12)
    first = file.path.read_bytes()
    put(file, a="1" * 12)
    second = file.path.read_bytes()
    assert salt_of(first) == salt_of(second)
    nonce = slice(24, 36)
    assert first[nonce] != second[nonce]
    assert vaultformat._stretch.cache_info().misses == 1


def test_what_is_wrong_with_the_file_is_told_apart(file: VaultFile) -> None:
    """Missing, damaged, another passphrase: each in one line with the file's name; the passphrase is asked for only where it is of use."""
    asked: list[str] = []

    def ask() -> str:
        asked.append("asked")
        return "another"

    with pytest.raises(VaultError, match="is not there; `turnpike keys add NAME` makes it"):
        file.read(ask)
    key = secrets.token_hex(16)
    put(file, a=key)
    good = file.path.read_bytes()
    file.path.write_bytes(good[:-1])
    with pytest.raises(DamagedVault, match="is damaged"):
        file.read(ask)
    assert not asked
    file.path.write_bytes(good)
    with pytest.raises(WrongPassphrase) as caught:
        file.read(ask)
    line = str(caught.value)
    assert asked and str(file.path) in line and "\n" not in line
    assert key not in line and "another" not in line


def test_a_change_under_another_passphrase_changes_nothing(file: VaultFile) -> None:
    """Nor does one that breaks off."""
    put(file, a="1" * 12)
    good = file.path.read_bytes()
    with pytest.raises(WrongPassphrase):
        put(file, "another", b="2" * 12)

    def give_up(keys: dict[str, str]) -> None:
        keys.clear()
        raise KeyError("changed my mind")

    with pytest.raises(KeyError):
        file.change(PASSPHRASE, give_up)
    assert file.path.read_bytes() == good


def test_unusable_places_are_named(tmp_path: Path) -> None:
    """A folder where the file should be, a file where the folder should be."""
    (tmp_path / "keys.vault").mkdir()
    with pytest.raises(VaultError, match=r"keys\.vault can't be used: Is a directory"):
        read(VaultFile(tmp_path / "keys.vault"))
    (tmp_path / "file").write_text("")
    with pytest.raises(VaultError, match="can't be used"):
        put(VaultFile(tmp_path / "file" / "keys.vault"), a="1" * 12)


def test_a_failed_writing_leaves_the_old_file_and_no_other(file: VaultFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk."""
    put(file, a="1" * 12)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(VaultError, match="No space left on device"):
            put(file, b="2" * 12)
    assert read(file) == {"a": "1" * 12}
    assert {path.name for path in file.path.parent.iterdir()} == {"keys.vault", "keys.vault.lock"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file that it leads to is changed."""
    (tmp_path / "elsewhere").mkdir()
    target, link = VaultFile(tmp_path / "elsewhere" / "keys"), tmp_path / "keys.vault"
    put(target, a="1" * 12)
    link.symlink_to(target.path)
    put(VaultFile(link), b="2" * 12)
    assert link.is_symlink() and set(read(target)) == {"a", "b"}


def test_two_at_once_lose_nothing(file: VaultFile) -> None:
    """A change that comes while another one is made waits for it, and finds what it wrote."""
    put(file, a="1" * 12)
    second = threading.Thread(target=lambda: put(VaultFile(file.path), c="3" * 12))

    def first(keys: dict[str, str]) -> None:
        second.start()
        second.join(0.2)  # it would be done by then, if it did not wait
        keys["b"] = "2" * 12

    file.change(PASSPHRASE, first)
    second.join(30)
    assert sorted(read(file)) == ["a", "b", "c"]


def test_a_passphrase_that_memory_does_not_suffice_for_is_told(file: VaultFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""
    put(file, a="1" * 12)

    def no_memory(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(vaultformat, "_stretch", no_memory)
    with pytest.raises(VaultError, match="128 MiB"):
        read(file)
