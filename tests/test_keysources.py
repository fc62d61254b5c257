"""Sources of keys and of exact strings."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from addons.config import KeySource, Source
from addons.keysources import Secret, SourceError, resolve


def labels(source: Source, environ: Mapping[str, str]) -> list[str]:
    """Where the values came from, in order."""
    return [secret.label for secret in resolve(source, environ, Path())]


def test_numbered_variables_come_in_the_order_of_their_numbers() -> None:
    """NAME* takes NAME, NAME_1, NAME_2 … NAME_10, and nothing that only begins like it."""
    environ = dict.fromkeys(["K_10", "K_2", "K", "K_1", "K_X", "KK", "K_", "K_1_2", "XK_1"], "k" * 12)
    assert labels(KeySource(env="K*"), environ) == ["env K", "env K_1", "env K_2", "env K_10"]
    assert labels(KeySource(env="K"), environ) == ["env K"]
    assert labels(KeySource(env="NOPE*"), environ) == []


def test_weight_and_priority_go_along() -> None:
    """What the entry says of weight and priority holds for each of its values."""
    found = resolve(KeySource(env="K*", weight=2, priority=3), {"K": "a" * 12, "K_1": "b" * 12}, Path())
    assert [(secret.weight, secret.priority) for secret in found] == [(2, 3), (2, 3)]
    assert [(secret.weight, secret.priority) for secret in resolve(Source(env="K"), {"K": "a"}, Path())] == [(1, 1)]


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


def test_keyrings_are_refused() -> None:
    """A keyring gives nothing yet, and says so."""
    with pytest.raises(SourceError, match="not available yet"):
        resolve(KeySource(keyring="a/b"), {}, Path())


def test_a_secret_does_not_tell_itself() -> None:
    """repr, str and format show the hint at most; a short value has none."""
    value = "sk-" + secrets.token_hex(12)
    secret = Secret(value, "env K")
    assert value[-4:] == secret.hint
    assert all(value not in shown for shown in (repr(secret), str(secret), f"{secret}", repr([secret])))
    assert Secret("k" * 11, "env K").hint is None
    assert Secret("k" * 12, "env K").hint == "kkkk"
