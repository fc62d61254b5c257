"""A fake provider and a proxy in front of it, one of each per test module; a test that needs its own proxy starts `Turnpike` itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from tests.e2e.harness import KEY_VARIABLES, Turnpike, fake_upstreams, new_key


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProvider]:
    """With TLS, under a CA that the proxy is told to trust."""
    with running_fake_provider(tls=True) as provider:
        yield provider


@pytest.fixture(scope="module")
def pool_keys() -> dict[str, str]:
    """Upstream → the key that the proxy has for it."""
    return {name: new_key() for name in KEY_VARIABLES}


@pytest.fixture(scope="module")
def turnpike(fake: FakeProvider, pool_keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turnpike]:
    env = {KEY_VARIABLES[name]: key for name, key in pool_keys.items()}
    config = {"version": 1, "upstreams": fake_upstreams(fake)}
    with Turnpike(tmp_path_factory.mktemp("turnpike"), config, trusted_ca=fake.ca_file, env=env) as proxy:
        yield proxy
