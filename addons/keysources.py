"""Turns a source of keys or of exact strings (`env:`, `file:`, `keyring:`, `vault:`) into values, which nothing prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from addons.config_errors import show
from addons.core.vaultformat import VaultError
from addons.keyvault import VaultFile

if TYPE_CHECKING:
    from addons.config import PlainSource, Vault

_SHORTEST_HINTED = 12  # DESIGN §6: no key_hint for keys under 12 characters
_IN_A_HEADER = re.compile(r"[\x21-\x7e]+")

Found = tuple[str, str]
"""Where a value was found, as it may be shown, and the value."""


class SourceError(ValueError):
    """A source that gives no usable value: what is wrong, and the remedy; never the value."""


class Rank(NamedTuple):
    """What an entry of `keys` says of its keys beside where they are. Lower `priority` is preferred; `max_concurrent` None: no limit."""

    weight: float = 1.0
    priority: int = 1
    max_concurrent: int | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """One value and where it came from. Only `value` tells it; repr and str do not. The rest as in Rank."""

    value: str = field(repr=False)
    label: str
    weight: float = 1.0
    priority: int = 1
    max_concurrent: int | None = None

    @property
    def hint(self) -> str | None:
        """The last four characters; None for a value under 12, of which they would tell too much."""
        return self.value[-4:] if len(self.value) >= _SHORTEST_HINTED else None

    def __str__(self) -> str:
        return f"{self.label} (…{self.hint or ''})"


class Sources:
    """Where values are looked for now: environment, files below `root`, the system's keyring, the vault.

    The vault is opened once, when the first of its keys is asked for. `ask` is what gives its passphrase where the configured
    source does not: it is told why, and returns it.
    """

    def __init__(self, environ: Mapping[str, str], root: Path, vault: Vault, ask: Callable[[str], str] | None = None) -> None:
        self._environ = environ
        self._root = root
        self._vault = vault
        self._ask = ask
        self._opened: Mapping[str, str] | SourceError | None = None

    def resolve(self, source: PlainSource) -> tuple[Secret, ...]:
        """The values of a source, in order.

        `env: NAME*` may give none. Raises SourceError: what is not there or can't be read, a value that is empty or, for keys,
        cannot stand in a header.
        """
        return tuple(_secret(label, text.strip(), source) for label, text in self._found(source))

    def _found(self, source: PlainSource) -> list[Found]:
        name = getattr(source, source.place)
        match source.place:
            case "env":
                return [(f"env {variable}", self._environ[variable]) for variable in _variables(name, self._environ)]
            case "file":
                return [(source.label, _read(self._root / name.expanduser(), name))]
            case "keyring":
                return [(source.label, _from_keyring(name))]
            case "vault":
                return [(source.label, self._from_vault(name))]

    def _from_vault(self, name: str) -> str:
        keys = self.vault_keys()
        if name not in keys:
            raise SourceError(f"the vault holds no {name}; add it with `turnpike keys add {name}`")
        return keys[name]

    def vault_keys(self) -> Mapping[str, str]:
        """All keys of the vault by name. Raises SourceError where it can't be opened, for the same reason each time."""
        if self._opened is None:
            self._opened = self._open_vault()
        if isinstance(self._opened, SourceError):
            raise self._opened
        return self._opened

    def _open_vault(self) -> Mapping[str, str] | SourceError:
        try:
            return VaultFile(self._vault.file).read(self.passphrase)
        except VaultError as error:
            return SourceError(str(error))
        except SourceError as error:
            return error

    def passphrase(self) -> str:
        """The vault's. Raises SourceError."""
        source = self._vault.passphrase
        try:
            if source.env is not None and source.env not in self._environ:
                raise SourceError(f"environment variable {source.env} is not set; set it to the vault's passphrase")
            return self.resolve(source)[0].value
        except SourceError as error:
            if self._ask is None:
                raise
            return self._ask(str(error))


def unusable(value: str) -> str | None:
    """What is wrong with a value as a key, the remedy with it; None: nothing."""
    if not value:
        return "is empty; give it a value, or take the entry out"
    if not _IN_A_HEADER.fullmatch(value):
        return "holds a blank, a line break or another sign that no key has; it should hold one key alone"
    return None


def _secret(label: str, value: str, source: PlainSource) -> Secret:
    if (not value or source.for_header) and (problem := unusable(value)):
        raise SourceError(f"{label} {problem}")
    return Secret(value, label, *source.rank)


def _variables(spec: str, environ: Mapping[str, str]) -> list[str]:
    """NAME, which must be set; or of NAME* those of NAME, NAME_1, NAME_2 … that are, in the order of the numbers."""
    if not spec.endswith("*"):
        if spec not in environ:
            raise SourceError(f"environment variable {spec} is not set; set it, or write {spec}* if it need not be")
        return [spec]
    name = re.escape(spec[:-1])
    numbered = [(int(found[1] or -1), key) for key in environ if (found := re.fullmatch(rf"{name}(?:_([0-9]+))?", key))]
    return [key for _, key in sorted(numbered)]


def _read(path: Path, written: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SourceError(f"{show(str(written), secret=True)}: no such file; name a file that holds the key") from None
    except UnicodeDecodeError:
        raise SourceError(f"file {written} is not text; it should hold one key") from None
    except OSError as error:
        shown = show(str(written), secret=True)
        raise SourceError(f"{shown} cannot be read: {error.strerror}; name a readable file that holds the key") from None


def _from_keyring(entry: str) -> str:
    """The password of SERVICE/USER in the keyring that the `keyring` package finds here."""
    import keyring  # noqa: PLC0415 # takes a quarter of a second, which only those wait who use it
    from keyring.errors import KeyringLocked, NoKeyringError  # noqa: PLC0415

    service, _, user = entry.partition("/")
    try:
        value = keyring.get_password(service, user)
    except NoKeyringError:
        raise SourceError("there is no system keyring here, as on most servers; use vault:, file: or env: instead") from None
    except KeyringLocked:
        raise SourceError("the system keyring is locked; unlock it") from None
    except Exception as error:  # backends are plug-ins that raise what they like, and their text may hold anything
        raise SourceError(f"the system keyring can't be read ({type(error).__name__}); see whether `keyring diagnose` finds it") from None
    if value is None:
        raise SourceError(f"the system keyring holds no {entry}; put it there with `keyring set {service} {user}`")
    return value
