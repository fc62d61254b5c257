"""Texts in which nothing was found: names, headers and messages come again with every call."""

from __future__ import annotations

from collections.abc import Hashable
from collections.abc import Set as AbstractSet
from hashlib import sha256

from addons.core.redaction.memory import Memory

EVERYTHING, SHAPES, PARAMETERS = b"e", b"s", b"p"
"""What was looked for in a text: whatever there is, only what is a secret by its shape, or also a URL's parameters by their names."""

CLEAN_BYTES = 2 * 1024 * 1024
"""Of the memory, some 4000 texts."""

_ENTRY_BYTES = 500

MAX_KEPT_CHARACTERS = 200
"""Longer texts are remembered by a digest, which takes longer to make."""


class CleanTexts:
    """Those that are clean under an `identity`, which stands for all that findings depend on (rules, exact strings). Bounded, and safe to
    share between threads."""

    def __init__(self, identity: bytes, memory: Memory | None = None) -> None:
        self._identity = identity
        self._memory = Memory(CLEAN_BYTES, _ENTRY_BYTES) if memory is None else memory

    def under(self, identity: bytes) -> CleanTexts:
        """Those of another identity, in the same memory."""
        return CleanTexts(identity, self._memory)

    def has(self, text: str, looked_for: bytes = EVERYTHING) -> bool:
        """Was nothing found in it before?"""
        return self._memory.get(self._key(text, looked_for)) is not None

    def note(self, text: str, looked_for: bytes = EVERYTHING) -> None:
        """That nothing was found in it."""
        self._memory.put(self._key(text, looked_for), ())

    def missing(self, texts: AbstractSet[str], looked_for: bytes = EVERYTHING) -> set[str]:
        """Those of many of which it is not known."""
        identity = self._identity
        missing = self._memory.missing({(identity, looked_for, text) for text in texts if len(text) <= MAX_KEPT_CHARACTERS})
        long = {text for text in texts if len(text) > MAX_KEPT_CHARACTERS and not self.has(text, looked_for)}
        return {text for _, _, text in missing} | long

    def _key(self, text: str, looked_for: bytes) -> Hashable:
        if len(text) <= MAX_KEPT_CHARACTERS:
            return self._identity, looked_for, text
        written = text.encode("utf-8", "surrogatepass")
        return sha256(b"%d:%b%b%b" % (len(self._identity), self._identity, looked_for, written)).digest()
