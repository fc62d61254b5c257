"""Sources of keys and of exact strings."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from addons.config import KeySource, PlainSource, Source, Vault
from addons.keysources import Rank, Secret, SourceError, Sources, unusable
from addons.keyvault import VaultFile
from tests.memory_keyring import MemoryKeyring, used

PASSPHRASE = "a passphrase, for tests"
PASSPHRASE_VARIABLE = "TURNPIKE_VAULT_PASSPHRASE"


def resolve(source: PlainSource, environ: Mapping[str, str], root: Path) -> tuple[Secret, ...]:
    """The values of a source where there is no vault."""
    return Sources(environ, root, Vault(file=root / "none.vault")).resolve(source)


def refusal(source: PlainSource, sources: Sources) -> str:
    """The line that a source is refused with."""
    with pytest.raises(SourceError) as caught:
        sources.resolve(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """A vault with one key under the passphrase, which is looked for in the default variable."""
    file = tmp_path / "keys.vault"
    VaultFile(file).change(PASSPHRASE, lambda keys: keys.update(main="m" * 12 + "-end"))
    return Vault(file=file)


def labels(source: Source, environ: Mapping[str, str]) -> list[str]:
    """Where the values came from, in order."""
    return [secret.label for secret in resolve(source, environ, Path())]


def test_numbered_variables_come_in_the_order_of_their_numbers() -> None:
    """NAME* takes NAME, NAME_1, NAME_2 … NAME_10, and nothing that only begins like it."""
    environ = dict.fromkeys(["K_10", "K_2", "K", "K_1", "K_X", "KK", "K_", "K_1_2", "XK_1"], "k" * 12)
    assert labels(KeySource(env="K*"), environ) == ["env K", "env K_1", "env K_2", "env K_10"]
    assert labels(KeySource(env="K"), environ) == ["env K"]
    assert labels(KeySource(env="NOPE*"), environ) == []


def test_weight_priority_and_limit_go_along() -> None:
    """What the entry says of them holds for each of its values."""
    source = KeySource(env="K*", weight=2, priority=3, max_concurrent=4)
    assert source.rank == Rank(weight=2, priority=3, max_concurrent=4)
    found = resolve(source, {"K": "a" * 12, "K_1": "b" * 12}, Path())
    assert [(secret.weight, secret.priority, secret.max_concurrent) for secret in found] == [(2, 3, 4), (2, 3, 4)]
    (plain,) = resolve(Source(env="K"), {"K": "a"}, Path())
    assert (plain.weight, plain.priority, plain.max_concurrent) == (1, 1, None)


def test_a_file_holds_one_key(tmp_path: Path) -> None:
    """Blanks around the key are taken off; a relative path starts at the root."""
    (tmp_path / "key").write_text("  abc-def-ghi-jkl \n\n")
    (secret,) = resolve(KeySource(file=Path("key")), {}, tmp_path)
    assert (secret.value, secret.label, secret.hint) == ("abc-def-ghi-jkl", "file key", "-jkl")


@pytest.mark.parametrize("content", ["", " \n", "one-key\nanother-key\n", "Bearer abc", "clé", "a\x00b"])
def test_values_that_no_header_takes_are_refused(tmp_path: Path, content: str) -> None:
    """Empty, several lines, blanks, control characters: refused without showing the value, from file and variable alike."""
    (tmp_path / "key").write_text(content)
    for source in (KeySource(file=Path("key")), KeySource(env="K"), KeySource(env="K*")):
        with pytest.raises(SourceError) as caught:
            resolve(source, {"K": content}, tmp_path)
        assert not content.strip() or content.strip() not in str(caught.value)


def test_an_exact_string_may_have_any_character() -> None:
    """What only is to be found, not sent, may have blanks and line breaks."""
    assert resolve(Source(env="K"), {"K": "a b\nç"}, Path())[0].value == "a b\nç"


def test_unusable_files_are_named(tmp_path: Path) -> None:
    """Missing, a folder, not text: the file and the remedy are named."""
    (tmp_path / "binary.key").write_bytes(b"\xff\xfe")
    for name, says in (("no.key", "no such file; name a file"), (".", "cannot be read"), ("binary.key", "is not text")):
        with pytest.raises(SourceError, match=says):
            resolve(KeySource(file=Path(name)), {}, tmp_path)


def test_an_unset_variable_is_named() -> None:
    """The error says which variable, and how to make it optional."""
    with pytest.raises(SourceError, match=r"variable K is not set; set it, or write K\*"):
        resolve(KeySource(env="K"), {}, Path())


def test_a_keyring_holds_keys_by_service_and_user() -> None:
    """What stands after the first / is the user."""
    entries = {("turnpike", "openai"): "o" * 12 + "-one\n", ("turnpike", "teams/a"): "t" * 12 + "-two"}
    with used(MemoryKeyring(entries)):
        (one,) = resolve(KeySource(keyring="turnpike/openai", priority=2), {}, Path())
        (two,) = resolve(KeySource(keyring="turnpike/teams/a"), {}, Path())
    assert (one.value, one.label, one.hint, one.priority) == ("o" * 12 + "-one", "keyring turnpike/openai", "-one", 2)
    assert two.value == "t" * 12 + "-two"


def test_a_keyring_without_the_entry_says_how_to_put_it_there() -> None:
    """In one line; so does an entry that holds nothing, or no key."""
    with used(MemoryKeyring({("turnpike", "empty"): "", ("turnpike", "odd"): "two words"})):
        sources = Sources({}, Path(), Vault())
        assert refusal(KeySource(keyring="turnpike/openai"), sources).endswith("put it there with `keyring set turnpike openai`")
        assert "is empty" in refusal(KeySource(keyring="turnpike/empty"), sources)
        assert "two words" not in refusal(KeySource(keyring="turnpike/odd"), sources)


def test_a_machine_without_a_keyring_says_what_to_use_instead() -> None:
    """As the package's own stand-in does on a server."""
    with used(NoKeyring()):  # type: ignore[no-untyped-call] # of a package that is typed in part
        told = refusal(KeySource(keyring="turnpike/openai"), Sources({}, Path(), Vault()))
    assert told == "there is no system keyring here, as on most servers; use vault:, file: or env: instead"


class BrokenKeyring(MemoryKeyring):
    """A backend that fails in its own way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        raise self.error


def test_a_keyring_that_fails_is_named_without_its_words() -> None:
    """Backends raise what they like; their texts may hold anything."""
    for error, says in (
        (KeyringLocked("dismissed"), "is locked; unlock it"),
        (ValueError("D-Bus says: dismissed"), "can't be read (ValueError)"),
    ):
        with used(BrokenKeyring(error)):
            told = refusal(KeySource(keyring="turnpike/openai"), Sources({}, Path(), Vault()))
        assert says in told and "dismissed" not in told


def test_the_vault_holds_keys_by_name(vault: Vault) -> None:
    """The passphrase comes from the configured source, and the file is opened once."""
    sources = Sources({PASSPHRASE_VARIABLE: f"{PASSPHRASE}\n"}, Path(), vault)
    (secret,) = sources.resolve(KeySource(vault="main", max_concurrent=1))
    assert (secret.value, secret.label, secret.hint, secret.max_concurrent) == ("m" * 12 + "-end", "vault main", "-end", 1)
    vault.file.unlink()
    assert sources.resolve(Source(vault="main"))[0].value == secret.value
    assert "the vault holds no other; add it with `turnpike keys add other`" in refusal(KeySource(vault="other"), sources)


def test_the_passphrase_may_come_from_a_file_or_the_keyring(vault: Vault, tmp_path: Path) -> None:
    """Whatever a key may come from, but the vault."""
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
    for source in (PlainSource(file=Path("passphrase")), PlainSource(keyring="turnpike/vault")):
        with used(MemoryKeyring({("turnpike", "vault"): PASSPHRASE})):
            sources = Sources({}, tmp_path, vault.model_copy(update={"passphrase": source}))
            assert sources.resolve(KeySource(vault="main"))


def test_what_keeps_the_vault_shut_is_told(vault: Vault, tmp_path: Path) -> None:
    """No passphrase, an empty one, another one, no file: one line each, and the same for the next key."""
    for environ, file, says in (
        ({}, vault.file, f"variable {PASSPHRASE_VARIABLE} is not set; set it to the vault's passphrase"),
        ({PASSPHRASE_VARIABLE: " "}, vault.file, "is empty"),
        ({PASSPHRASE_VARIABLE: "swordfish"}, vault.file, "is not opened by this passphrase"),
        ({PASSPHRASE_VARIABLE: PASSPHRASE}, tmp_path / "none", "is not there; `turnpike keys add NAME` makes it"),
    ):
        sources = Sources(environ, Path(), Vault(file=file))
        told = refusal(KeySource(vault="main"), sources)
        assert says in told and "swordfish" not in told
        assert refusal(KeySource(vault="main"), sources) == told


def test_a_passphrase_that_is_nowhere_may_be_asked_for(vault: Vault) -> None:
    """With the reason; once; and not where the configured source gives one."""
    asked: list[str] = []

    def ask(reason: str) -> str:
        asked.append(reason)
        return PASSPHRASE

    sources = Sources({}, Path(), vault, ask)
    assert sources.resolve(KeySource(vault="main")) == sources.resolve(KeySource(vault="main"))
    assert asked == [f"environment variable {PASSPHRASE_VARIABLE} is not set; set it to the vault's passphrase"]
    assert "not opened" in refusal(KeySource(vault="main"), Sources({PASSPHRASE_VARIABLE: "another"}, Path(), vault, ask))
    assert len(asked) == 1


def test_a_wrong_passphrase_is_asked_for_once(vault: Vault) -> None:
    """Not once more for each key of the vault."""
    asked: list[str] = []

    def ask(reason: str) -> str:
        asked.append(reason)
        return "swordfish"

    sources = Sources({}, Path(), vault, ask)
    assert refusal(KeySource(vault="main"), sources) == refusal(KeySource(vault="other"), sources)
    assert len(asked) == 1


def test_what_is_no_key_is_said() -> None:
    """For those who take one from a user."""
    assert unusable("k") is None
    assert "empty" in (unusable("") or "")
    assert "blank" in (unusable("two words") or "")


def test_a_secret_does_not_tell_itself() -> None:
    """repr, str and format show the hint at most; a short value has none."""
    value = "sk-" + secrets.token_hex(12)
    secret = Secret(value, "env K")
    assert value[-4:] == secret.hint
    assert all(value not in shown for shown in (repr(secret), str(secret), f"{secret}", repr([secret])))
    assert Secret("k" * 11, "env K").hint is None
    assert Secret("k" * 12, "env K").hint == "kkkk"
