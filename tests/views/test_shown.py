"""addons/views/shown.py: values as words."""

from __future__ import annotations

import pytest

from addons.views.shown import LONGEST, UNKNOWN, Fact, clipped, facts_of, value_of


@pytest.mark.parametrize(
    ("value", "column", "words"),
    [
        (None, "cost_usd", UNKNOWN),
        ("", "tag", UNKNOWN),
        (0, "input_tokens", "0"),
        (0.5, "cost_usd", "$0.5000"),
        (1234.5, "ttft_ms", "1.23 s"),
        (1, "stream", "yes"),
        (0, "pinned", "no"),
        (200, "status", "200"),
        ("x", "model", "x"),
        ("2026-11-27T02:21:26.123Z", "started_at", "2026-11-27 02:21:26 UTC"),
        ("once", "started_at", "once"),
        ("text in a number's column", "cost_usd", "text in a number's column"),
    ],
)
def test_values(value: object, column: str, words: str) -> None:
    """With their units; unknown is not zero."""
    assert value_of(value, column) == words


def test_facts_keep_the_exact_value() -> None:
    """For the title, beside its label; a column that is missing is unknown."""
    shown = facts_of({"ttft_ms": 1234.5}, [Fact("first", "ttft_ms"), Fact("cost", "cost_usd")])
    assert [(one.label, one.text, one.exact) for one in shown] == [("first", "1.23 s", 1234.5), ("cost", UNKNOWN, None)]


def test_long_texts_are_cut_and_say_so() -> None:
    """A megabyte in a name does not make a page of megabytes; what is no text stays what it is."""
    assert clipped("x" * LONGEST) == "x" * LONGEST
    assert clipped("x" * (LONGEST + 1_500)) == "x" * LONGEST + "… (1,500 more characters)"
    assert clipped("abc", 2) == "ab… (1 more characters)"
    assert (clipped(None), clipped(7)) == (None, 7)
    (shown,) = facts_of({"model": "x" * 1_000_000}, (Fact("model", "model"),))
    assert len(shown.text) + len(shown.exact) < 3 * LONGEST
