"""Percentiles, spreads, ratios."""

from __future__ import annotations

from array import array

import pytest

from scripts.benching.figures import Spread, flat, percentiles, ratios, spreads
from tests.scripts.benching.measured import one_round


def test_percentiles_are_values_that_occurred() -> None:
    """By nearest rank, in milliseconds."""
    found = percentiles(array("d", [n / 1000 for n in range(100, 0, -1)]))
    assert found == pytest.approx({"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0})
    assert percentiles(array("d", [0.002])) == pytest.approx({"p50": 2.0, "p90": 2.0, "p99": 2.0, "max": 2.0})
    assert percentiles(array("d")) is None


def test_spreads_have_median_least_and_most() -> None:
    """Of none there is none."""
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([]) is None


def test_spreads_overlap_where_they_share_a_value() -> None:
    """Touching counts."""
    one = Spread(2.0, 1.0, 3.0, 3)
    assert one.overlaps(Spread(3.5, 3.0, 4.0, 3)) and one.overlaps(Spread(2.0, 2.0, 2.0, 3))
    assert not one.overlaps(Spread(4.0, 3.1, 5.0, 3))


def test_what_is_added_is_the_difference_in_the_same_round() -> None:
    """At each percentile; a stream's first token too. The upstream itself adds nothing."""
    found = flat(one_round(100, 5.0, stream=True), one_round(1000, 1.0, stream=True))
    assert (found["added_latency_p50_ms"], found["added_latency_max_ms"], found["added_ttft_p90_ms"]) == (4.0, 16.0, 8.0)
    assert not [name for name in flat(one_round(1000, 1.0), None) if name.startswith("added_")]


def test_what_was_not_measured_is_left_out() -> None:
    """It is not nought."""
    found = flat(one_round(100, 5.0) | {"cpu_ms_per_call": None}, None)
    assert "ttft_p50_ms" not in found and "cpu_ms_per_call" not in found and "chunks_per_s" not in found
    assert spreads([{"a": 1.0}, {"a": 3.0, "b": 2.0}]) == {"a": Spread(2.0, 1.0, 3.0, 2), "b": Spread(2.0, 2.0, 2.0, 1)}


def test_ratios_are_those_of_each_round() -> None:
    """Not that of the medians: what slows the machine in one round slows both."""
    found = ratios([{"x": 10.0}, {"x": 100.0}, {"x": 30.0}], [{"x": 5.0}, {"x": 100.0}, {"x": 10.0}])
    assert found["x"] == Spread(2.0, 1.0, 3.0, 3)


def test_ratios_skip_what_cannot_be_divided() -> None:
    """Nothing by nothing, and what only one has."""
    assert ratios([{"x": 1.0, "y": 1.0, "added_z": 1.0}], [{"x": 0.0, "added_z": 1.0}]) == {}
