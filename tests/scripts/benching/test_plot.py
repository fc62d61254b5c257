"""The picture."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from scripts.benching.plot import nice, svg
from tests.scripts.benching.measured import report

SVG = "{http://www.w3.org/2000/svg}"


def test_each_figure_has_a_bar_with_its_spread() -> None:
    """Three panels in each of two groups, two targets in each; they lie inside the picture."""
    root = ElementTree.fromstring(svg(report()))
    bars = [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    assert len(bars) == 2 * 3 * 2
    titles = [title.text for bar in bars if (title := bar.find(f"{SVG}title")) is not None]
    assert "turnpike: 330 (300-360)" in titles
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for bar in bars:
        x, y, wide, tall = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + wide <= width and 0 <= y <= y + tall <= height and tall > 0


def test_names_are_escaped() -> None:
    """A gateway may be named as one likes."""
    odd = report()
    for result in odd.results:
        result.rounds['<a & "b">'] = result.rounds.pop("bare")
    texts = [text.text for text in ElementTree.fromstring(svg(odd)).iter(f"{SVG}text")]
    assert '<a & "b">' in texts


def test_what_adds_less_than_nothing_has_no_bar() -> None:
    """Within the noise that happens."""
    quick = report(speed=100.0)
    assert 'height="-' not in svg(quick)


@pytest.mark.parametrize(("value", "end"), [(0, 1), (0.9, 1), (1, 1), (1.3, 1.6), (216, 240), (330, 400), (7000, 8000), (9001, 10000)])
def test_scales_end_at_round_numbers(value: float, end: float) -> None:
    """Not below the highest value."""
    assert nice(value) == pytest.approx(end)
