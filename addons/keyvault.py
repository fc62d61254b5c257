"""The encrypted file of keys on disk: read whole, changed under a lock, replaced in one step. What is in it: `core/vaultformat`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from addons.core.vaultformat import NONCE_BYTES, SALT_BYTES, VaultError, salt_of, seal, unseal

try:
    import fcntl
except ImportError:  # Windows: there two `turnpike keys add` at the same moment are not kept apart
    fcntl = None  # type: ignore[assignment]

FOLDER_MODE = 0o700


class VaultFile:
    """One vault; it need not exist. Errors are VaultErrors of one line that name the file and nothing of what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.exists()

    def read(self, passphrase: Callable[[], str]) -> dict[str, str]:
        """The keys by name; the passphrase is not asked for where the file is no use. Raises VaultError, and what `passphrase` does."""
        with self._named():
            salt_of(data := self._bytes())
            return unseal(data, passphrase())

    def change(self, passphrase: str, edit: Callable[[dict[str, str]], None]) -> None:
        """Let `edit` change the keys, and write them for the file's owner only (0600). A file that is not there is made.

        Two that change at once do so one after the other. Raises VaultError, and whatever `edit` does; then nothing is written.
        """
        with self._named(), self._locked():
            old = self._bytes() if self.exists() else b""
            keys = unseal(old, passphrase) if old else {}
            edit(keys)
            salt = salt_of(old) if old else os.urandom(SALT_BYTES)  # stays, so that a running proxy need not stretch the passphrase again
            self._write(seal(keys, passphrase, salt, os.urandom(NONCE_BYTES)))

    def _bytes(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            raise VaultError("is not there; `turnpike keys add NAME` makes it, or name another file in vault.file") from None

    def _write(self, data: bytes) -> None:
        place = self.path.resolve()  # a link stays one
        descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f"{place.name}.")  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, place)
        except OSError:
            os.unlink(name)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        if fcntl is None:
            yield
            return
        # a file of its own, since the vault is replaced by another one while the lock is held
        descriptor = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What goes wrong inside, with the file's name before it."""
        try:
            yield
        except VaultError as error:
            raise type(error)(f"the vault {self.path} {error}") from None
        except OSError as error:
            raise VaultError(f"the vault {self.path} can't be used: {error.strerror or type(error).__name__}") from None
        except MemoryError:
            raise VaultError(
                f"the vault {self.path} can't be opened: its passphrase takes 128 MiB for a moment, which are not there"
            ) from None
