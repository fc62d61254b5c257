"""Keys of the vault and of a keyring, through the real proxy to the wire, and found nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from addons.keyvault import VaultFile
from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.e2e.harness import Turnpike, new_key, wait_for

PASSPHRASE = "a passphrase, for tests"
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
BACKEND = """
from keyring.backend import KeyringBackend


class Keyring(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        return open(__file__ + "." + service + "." + username).read()

    def set_password(self, service, username, password):
        raise NotImplementedError
"""
"""A keyring as somebody may have installed one: it reads a file beside its module."""


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with running_fake_provider() as provider:
        yield provider


def key_of_a_call(proxy: Turnpike, fake: FakeProvider, upstream: str) -> str:
    """The key that a call to this upstream is made with; every one is answered."""
    count = len(fake.requests)
    answer = httpx.post(f"{proxy.base_url}/{upstream}/v1/chat/completions", json=CHAT, trust_env=False)
    assert answer.status_code == 200, answer.text
    (request,) = fake.requests[count:]
    return request.key


def test_keys_of_vault_and_keyring_reach_the_wire(tmp_path: Path, fake: FakeProvider) -> None:
    """A key that is replaced in the vault is taken over while the proxy runs; none stands in log or database."""
    first, second, third = new_key(), new_key(), new_key()
    vault = VaultFile(tmp_path / "keys.vault")
    vault.change(PASSPHRASE, lambda keys: keys.update(main=first))
    (tmp_path / "own_keyring.py").write_text(BACKEND)
    (tmp_path / "own_keyring.py.turnpike.openai").write_text(third)
    upstream = {"provider": "openai", "base_url": f"{fake.url}/v1"}
    config = {
        "vault": {"file": str(vault.path)},
        "upstreams": {"a": upstream | {"keys": [{"vault": "main"}]}, "b": upstream | {"keys": [{"keyring": "turnpike/openai"}]}},
    }
    env = {
        "TURNPIKE_VAULT_PASSPHRASE": PASSPHRASE,
        "PYTHON_KEYRING_BACKEND": "own_keyring.Keyring",
        "PYTHONPATH": str(tmp_path),
    }
    with Turnpike(tmp_path, config, env=env) as proxy:
        assert (key_of_a_call(proxy, fake, "a"), key_of_a_call(proxy, fake, "b")) == (first, third)
        vault.change(PASSPHRASE, lambda keys: keys.update(main=second))
        wait_for(lambda: "configuration read again" in proxy.output(), "the vault is read again")
        assert key_of_a_call(proxy, fake, "a") == second
        hints = [row["key_hint"] for row in proxy.wait_rows(3)]
    assert hints == [key[-4:] for key in (first, third, second)]
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and "own_keyring" not in path.name)
    assert not [key for key in (first, second, third) if key.encode() in written]
    assert PASSPHRASE.encode() not in written
