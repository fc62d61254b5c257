"""Text that behaves like text: few words that are everywhere, many that are rare (Zipf's law), the same for the same seed."""

from __future__ import annotations

from itertools import accumulate
from random import Random

_COMMON = """
the of and to in is that it for was on are as with they be at one have this from or had by but some what there we can out other
were all your when up use word how said an each she which do their time if will way about many then them would write like so
"""
_SYLLABLE_STARTS = "b br c ch cl d dr f fl g gr h j k l m n p pl pr qu r s sh sl st t th tr v w z"
_SYLLABLE_VOWELS = "a e i o u ai ea ie ou"
_WORD_ENDS = "b ck d ft g l ll m mp n nd ng p r rd rn s ss st t th x"

COMMON = tuple(_COMMON.split())
_STARTS, _VOWELS, _ENDS = (signs.split() for signs in (_SYLLABLE_STARTS, _SYLLABLE_VOWELS, _WORD_ENDS))
VOCABULARY = 20_000
"""About what a large code base or a long correspondence uses."""


class Words:
    """A vocabulary, its words drawn by rank."""

    def __init__(self, seed: int, size: int = VOCABULARY) -> None:
        rng = Random(f"{seed}: words")
        made = dict.fromkeys(COMMON)
        while len(made) < size:
            syllables = rng.choice((1, 2, 2, 3))
            made["".join(rng.choice(_STARTS) + rng.choice(_VOWELS) for _ in range(syllables)) + rng.choice(_ENDS)] = None
        self._words = list(made)
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(size)))

    def text(self, rng: Random, length: int) -> str:
        """About `length` characters in sentences; never empty."""
        words = rng.choices(self._words, cum_weights=self._weights, k=max(1, length // 6))
        for start in range(0, len(words), 12):
            words[start] = words[start].capitalize()
            last = min(start + 11, len(words) - 1)
            words[last] += "."
        return " ".join(words)
