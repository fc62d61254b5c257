"""A run beside an older one."""

from __future__ import annotations

import pytest

from scripts.benching.comparing import WITHIN, differences, text, verdict
from scripts.benching.figures import Spread
from tests.scripts.benching.measured import report


def line_of(found: str, *parts: str) -> str:
    return next(line for line in found.splitlines() if all(part in line for part in parts))


def test_each_figure_is_shown_with_its_change() -> None:
    """Before, now, and by how much."""
    found = text(report(), report(speed=2.0))
    rate = line_of(found, "turnpike ", "requests_per_s")
    assert "330 (300-360)" in rate and "660 (600-720)" in rate and "+100.0%" in rate and rate.endswith("better")
    assert line_of(found, "bare", "requests_per_s").endswith(WITHIN)
    assert line_of(found, "turnpike ", "added_latency_p50_ms").endswith("better")
    assert "+100.0%" in line_of(found, "turnpike : bare", "requests_per_s")


def test_slower_is_worse() -> None:
    """Also where less would be better."""
    found = text(report(), report(speed=0.5))
    assert line_of(found, "turnpike ", "requests_per_s").endswith("worse")
    assert line_of(found, "turnpike ", "cpu_ms_per_call").endswith("worse")


@pytest.mark.parametrize(
    ("then", "here", "said"),
    [
        (Spread(2, 1, 3, 3), Spread(4, 3.5, 5, 3), "better"),
        (Spread(4, 3.5, 5, 3), Spread(2, 1, 3, 3), "worse"),
        (Spread(2, 1, 3, 3), Spread(4, 3, 5, 3), WITHIN),
        (Spread(2, 2, 2, 1), Spread(4, 3, 5, 3), "one round only"),
    ],
)
def test_verdicts_need_spreads_apart(then: Spread, here: Spread, said: str) -> None:
    """One round proves nothing."""
    assert verdict("requests_per_s", then, here) == said


def test_what_differs_beside_is_told() -> None:
    """Other settings, another machine, another load."""
    old, new = report(), report()
    assert list(differences(old, new)) == []
    new.machine["cpu"], new.settings["duration_s"], new.load = "another CPU", 10.0, [8.0]
    found = "\n".join(differences(old, new))
    assert "another machine: cpu was a CPU, is another CPU" in found
    assert "another setting: duration_s was 5.0, is 10.0" in found
    assert "load was 1.0, is 8.0" in found


def test_cells_that_were_not_measured_then_are_named() -> None:
    """They have nothing to be compared with."""
    old = report()
    del old.results[0]
    assert "concurrency 32: not measured then" in text(old, report())
