"""Which key a conversation stays on, since that is where its prompts are cached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from addons.core.pooledkey import PooledKey

CONVERSATIONS = 10_000
"""Remembered of one pool, the most recent ones."""


class Affinity(OrderedDict[str, PooledKey]):
    """Keys by conversation; whoever is asked for or told of comes last."""

    def of(self, conversation: str | None) -> PooledKey | None:
        """Its key, if it has one."""
        if conversation is None or conversation not in self:
            return None
        self.move_to_end(conversation)
        return self[conversation]

    def remember(self, conversation: str, key: PooledKey) -> None:
        self[conversation] = key
        self.move_to_end(conversation)
        if len(self) > CONVERSATIONS:
            self.popitem(last=False)

    def among(self, keys: Collection[PooledKey]) -> Affinity:
        """Of those conversations whose key is among these."""
        return Affinity((conversation, key) for conversation, key in self.items() if key in keys)
