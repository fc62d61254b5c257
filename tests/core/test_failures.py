"""Failure classes."""

import pytest

from addons.core.call import FailureClass
from addons.core.failures import failure_of, failure_told


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


@pytest.mark.parametrize(
    ("by_status", "outcome", "error", "failure"),
    [
        ("rate_limit", "error", "insufficient_quota You exceeded your current quota", "quota"),
        ("rate_limit", "error", "rate_limit_error slow down", "rate_limit"),
        ("auth", "error", "invalid_request_error Your credit balance is too low", "quota"),
        (None, "error", "overloaded_error Overloaded", "overloaded"),
        (None, "partial", "overloaded_error Overloaded", "stream"),
        (None, "error", "None None", None),
        (None, "ok", "None None", None),
        ("connect", "error", "None None", "connect"),
    ],
)
def test_what_the_answer_tells(by_status: FailureClass | None, outcome: str, error: str, failure: FailureClass | None) -> None:
    """Spent quotas and errors inside streams do not show in the status."""
    assert failure_told(by_status, outcome, error) == failure
