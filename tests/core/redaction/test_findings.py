"""Findings are put in order, and joined where they overlap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.findings import Finding, merge

FINDINGS = st.lists(
    st.builds(lambda start, size, rule: Finding(start, start + size, rule), *[st.integers(0, 20), st.integers(1, 6), st.sampled_from("ab")])
)


@given(FINDINGS)
def test_nothing_is_left_over(findings: list[Finding]) -> None:
    """What any of them covers is covered, once, and in order."""
    joined = merge(iter(findings))
    covered = [at for found in joined for at in range(found.start, found.end)]
    assert covered == sorted({at for found in findings for at in range(found.start, found.end)})


def test_the_longest_that_begins_first_gives_the_name() -> None:
    """Of equal ones the first; a tail is shown where all allow it."""
    given = [Finding(4, 9, "b", keep_tail=False), Finding(0, 2, "x"), Finding(0, 5, "a"), Finding(0, 5, "c"), Finding(20, 22, "d")]
    assert merge(given) == [Finding(0, 9, "a", keep_tail=False), Finding(20, 22, "d")]
