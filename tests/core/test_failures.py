"""Failure classes."""

import pytest

from addons.core.failures import failure_of


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (200, None),
        (302, None),
        (400, "request"),
        (401, "auth"),
        (402, "quota"),
        (418, "request"),
        (429, "rate_limit"),
        (500, "server"),
        (503, "overloaded"),
        (529, "overloaded"),
        (599, "server"),
    ],
)
def test_failure_of(status: int, failure: str | None) -> None:
    """The table of DESIGN §5, and for what it does not name the side that is to blame."""
    assert failure_of(status) == failure
