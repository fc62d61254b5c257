"""Whose credential goes upstream."""

import pytest

from addons.core.inject import Inject, keeps_own, wants_pool_key


@pytest.mark.parametrize(
    ("inject", "own", "allowed", "pool"),
    [
        ("always", "sk-mine", True, True),
        ("always", "", True, True),
        ("always", "sk-mine", False, False),
        ("placeholder", "", True, True),
        ("placeholder", "turnpike", True, True),
        ("placeholder", "sk-mine", True, False),
        ("placeholder", "turnpike", False, False),
        ("never", "", True, False),
    ],
)
def test_wants_pool_key(inject: Inject, own: str, allowed: bool, pool: bool) -> None:
    """`inject` decides, and never against the Gate."""
    assert wants_pool_key(inject, ("turnpike",), own, allowed) is pool


def test_own_credential_stays_with_who_was_named() -> None:
    """A candidate that the client did not name never sees the client's credential."""
    assert keeps_own("openai", "openai")
    assert not keeps_own("openai", "openrouter")
    assert not keeps_own(None, "openai")
