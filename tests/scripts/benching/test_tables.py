"""What is printed."""

from __future__ import annotations

import pytest

from scripts.benching.tables import grid, number, text
from tests.scripts.benching.measured import report


def test_each_group_has_figures_and_ratios() -> None:
    """Medians, with the least and most of the rounds; ratios are those of our targets by the others."""
    lines = text(report()).splitlines()
    whole = lines.index("base URL, not streamed, prompts of 1 kB, kept connections, closed loop")
    stream = lines.index("CONNECT and TLS, streamed, prompts of 200 kB, a new connection per call, closed loop")
    [turnpike] = [line for line in lines[whole:stream] if " turnpike  " in line and "330 (300-360)" in line]
    assert turnpike.split()[0] == "32"
    [added] = [line for line in lines[whole:stream] if "4.00 / 8.00 / 12.0 / 16.0" in line]
    assert " turnpike " in added
    [ratio] = [line for line in lines[whole:stream] if "turnpike : bare" in line]
    assert "1.50 (1.10-2.40)" in ratio
    assert any("13200 (12000-14400)" in line for line in lines[stream:])
    assert not any("chunks/s" in line for line in lines[whole:stream])


def test_where_it_ran_stands_above() -> None:
    """With load and cores, since figures mean nothing without them."""
    head = text(report()).splitlines()[0]
    assert "a CPU, 2 cores" in head and "load 0.5 → 1.0" in head


def test_errors_are_told() -> None:
    """By target, kind and cell; none where there are none."""
    assert "ERRORS" not in text(report())
    found = text(report(errors={"status 503": 2}))
    assert "ERRORS turnpike: 2 of 992 status 503 (base URL, not streamed" in found


def test_doubts_are_told() -> None:
    """A run that was broken off, and a load that was at its own limit."""
    broken_off = report()
    broken_off.complete = False
    assert "broken off" in text(broken_off)
    busy = report()
    busy.results[0].rounds["turnpike"][0]["load_cpu_s"] = 0.95
    assert "95% of a core beside turnpike" in text(busy)


@pytest.mark.parametrize(("value", "shown"), [(1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (-45.67, "-45.7"), (0.0, "0.00")])
def test_numbers_have_three_places(value: float, shown: str) -> None:
    """More would only pretend."""
    assert number(value, 2) == shown


def test_grids_are_aligned() -> None:
    """Numbers to the right, names to the left."""
    assert grid(["n", "name", "x"], [["1", "a", "10"], ["22", "bbb", "5"]]).splitlines() == [
        "   n  name   x",
        "   1  a     10",
        "  22  bbb    5",
    ]
