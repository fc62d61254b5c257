"""Made-up text: the same for the same seed, some words everywhere and many rare."""

from __future__ import annotations

from collections import Counter
from random import Random

from scripts.generating.words import COMMON, Words


def test_text_has_the_length_and_repeats_with_its_seed() -> None:
    """Within a third of what was asked for, and never empty."""
    words = Words(1, 500)
    text = words.text(Random(7), 1000)
    assert text == Words(1, 500).text(Random(7), 1000) != Words(2, 500).text(Random(7), 1000)
    assert 660 < len(text) < 1340
    assert words.text(Random(7), 0)


def test_a_few_words_are_everywhere() -> None:
    """The commonest word comes far more often than one in the middle of the vocabulary."""
    counted = Counter(Words(1, 2000).text(Random(7), 100_000).lower().replace(".", "").split())
    assert counted[COMMON[0]] > 300
    assert sum(count == 1 for count in counted.values()) > 50
