"""Placeholders: what stands for a secret on its way to the model, and which secret each one stands for.

A placeholder is a keyed hash (HMAC, RFC 2104) of client and secret, so the same secret is swapped for the same placeholder
turn after turn: the provider's prompt cache holds, and a signed text (Anthropic signs thinking) that went to the client
with the secret in it comes back letter for letter as it was signed. Whoever does not have the key can neither guess one nor
tell of what it was made. What it means is known only here, in memory, to the conversation that it was made in.

Nothing is lost with a map that was forgotten: the next request makes the same placeholders again.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict

from addons.core.redaction.restore_text import Restorable, Shape

SHAPE = "QVK{16}"
"""Value-shaped, since models repeat that best. Hardly a word or name ends in Q, so hardly a text is held back for it."""

MIN_KEY_BYTES = 16
TTL_S = 12 * 3600.0
MAX_MAPS = 2000
MAX_BYTES = 16 * 1024 * 1024  # of all maps together
MAX_MAP_ENTRIES = 4096
MAX_MAP_BYTES = 4 * 1024 * 1024

_PAIR_BYTES = 300  # of two strings' heads and two entries, besides their characters


class _Room:
    """How many bytes the maps that share it take."""

    def __init__(self) -> None:
        self.used = 0


class PlaceholderMap:
    """Secret ⇄ placeholder, of one conversation of one client. The longest unused pairs are forgotten first.

    Several threads may call it at once: they make the same placeholders, and each step on the tables is one operation.
    """

    def __init__(self, key: bytes, shape: Shape, room: _Room | None = None) -> None:
        """`key` is the client's own, made of the maps' key."""
        self._key = key
        self._shape = shape
        self._room = room or _Room()
        self._placeholders: dict[str, str] = {}
        self._secrets: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"PlaceholderMap(<{len(self._secrets)} pairs>)"

    @property
    def shape(self) -> Shape:
        """What all of them look like."""
        return self._shape

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return self._bytes

    def placeholder(self, secret: str, rule: str = "") -> str:
        """What stands for this secret, the same each time. A placeholder of this map stands for itself: what was left in a text
        is not swapped again. `rule` is no part of it, since the next turn may find the same value by another rule."""
        if secret in self._secrets:
            return secret
        known = self._placeholders.get(secret)
        if known is None:
            return self._add(secret)
        if known in self._secrets:
            self._secrets.move_to_end(known)
        return known

    def secret(self, placeholder: str) -> str | None:
        """What it stands for; None where this conversation did not make it."""
        return self._secrets.get(placeholder)

    def secrets(self) -> tuple[str, ...]:
        """All that it knows: to be looked for in what the client sends next as exact strings. An answer may have put a secret where
        no rule would find it again (`the password is …` → `use …`)."""
        return tuple(self._secrets.copy().values())

    def snapshot(self) -> Restorable:
        """What an answer is restored with from now on."""
        return Restorable(self._secrets.copy(), self._shape)

    def leave(self) -> None:
        """Forgotten by its maps: whoever still has it may use it, but it counts no more."""
        self._room.used -= self._bytes
        self._room = _Room()

    def _add(self, secret: str) -> str:
        made = self._mint(secret)
        self._placeholders[secret] = made
        self._secrets[made] = secret
        self._count(_size(secret))
        while len(self._secrets) > 1 and (len(self._secrets) > MAX_MAP_ENTRIES or self._bytes > MAX_MAP_BYTES):
            _, old = self._secrets.popitem(last=False)
            self._placeholders.pop(old, None)
            self._count(-_size(old))
        return made

    def _count(self, size: int) -> None:
        self._bytes += size
        self._room.used += size

    def _mint(self, secret: str) -> str:
        """The first that stands for no other secret and is not part of this one. The text is not looked through: with 64 bits or
        more it holds none by chance, and one that it does hold is an old one of this very secret."""
        content = secret.encode("utf-8", "surrogatepass")
        attempt = 0
        while True:
            digest = hmac.digest(self._key, attempt.to_bytes(4) + content, "sha256")
            made = self._shape.write(int.from_bytes(digest))
            if self._secrets.get(made, secret) == secret and made not in secret:
                return made
            attempt += 1


class PlaceholderMaps:
    """One map per client and conversation, in memory only: at most `max_maps` with `max_bytes` together, each forgotten `ttl_s`
    seconds after its last use. One thread asks for maps."""

    def __init__(
        self, key: bytes, shape: str = SHAPE, *, max_maps: int = MAX_MAPS, max_bytes: int = MAX_BYTES, ttl_s: float = TTL_S
    ) -> None:
        """`key`: random, at least 16 bytes; another one makes other placeholders. Raises ValueError for a short key or a bad shape."""
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the key of placeholders needs at least {MIN_KEY_BYTES} bytes")
        self._key = key
        self._shape = Shape(shape)
        self._max_maps, self._max_bytes, self._ttl_s = max_maps, max_bytes, ttl_s
        self._room = _Room()
        self._maps: OrderedDict[tuple[str, str], tuple[float, PlaceholderMap]] = OrderedDict()

    def __repr__(self) -> str:
        return f"PlaceholderMaps(<{len(self._maps)} maps>)"

    def __len__(self) -> int:
        return len(self._maps)

    @property
    def size_bytes(self) -> int:
        """About what all of them take in memory."""
        return self._room.used

    def map_for(self, client: str, conversation: str, now: float) -> PlaceholderMap:
        """The conversation's map, a new one where it has none (any more). `now` in seconds, never going back."""
        self._expire(now)
        place = client, conversation
        found = self._maps[place][1] if place in self._maps else self._new(client)
        self._maps[place] = now, found
        self._maps.move_to_end(place)
        while len(self._maps) > 1 and (len(self._maps) > self._max_maps or self._room.used > self._max_bytes):
            self._forget_oldest()
        return found

    def _new(self, client: str) -> PlaceholderMap:
        key = hmac.digest(self._key, client.encode("utf-8", "surrogatepass"), "sha256")
        return PlaceholderMap(key, self._shape, self._room)

    def _expire(self, now: float) -> None:
        while self._maps and next(iter(self._maps.values()))[0] + self._ttl_s <= now:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._maps.popitem(last=False)[1][1].leave()


def _size(secret: str) -> int:
    return 4 * len(secret) + _PAIR_BYTES
