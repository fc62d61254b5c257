"""The state in Redis or Valkey, for proxies on several machines; the same as `state.db` holds, under names that begin with `turnpike:`.

    turnpike:cooldowns   hash: [upstream, key id, group] → [until, step, why]     (JSON both)
    turnpike:breakers    hash: [upstream] → [until, failures, why]
    turnpike:resets      hash: upstream → n
    turnpike:leases:KEY  hash: process → [held, wanted, spare, since, beat], in seconds of the server's clock
    turnpike:version     counts changes, so that one GET tells whether there were any

Each change is a transaction (WATCH, MULTI), tried again where another process was quicker. No connection is made per call: the thread
of `statekeeper.py` keeps one, and opens it anew when it was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from addons.core.slots import Claim, settle
from addons.storage.database import StoreError
from addons.storage.statekeeper import Asked, StateKeeper
from addons.storage.staterows import Key, Row, Saved, SavedBreaker, SavedCooldown, Shared, merged

if TYPE_CHECKING:
    from redis.client import Pipeline

PREFIX = "turnpike:"
COOLDOWNS, BREAKERS, RESETS, VERSION = (PREFIX + name for name in ("cooldowns", "breakers", "resets", "version"))
LEASES = PREFIX + "leases:"
PATIENCE_S = 1.0
"""For an answer: calls may wait for it."""

TRIES = 100
"""Of a transaction that others come before; each time one of them has got on."""

LEASES_KEPT_S = 3600
QUICK_POLL_S = 0.05  # over a network, and the server has others to serve


class StateRedis(StateKeeper):
    """`worker` names this process among all that use the server."""

    quick_poll_s = QUICK_POLL_S

    def __init__(self, url: str, clock: Callable[[], float] = time.time, worker: str = "") -> None:
        """Raises StoreError where the package is not installed, or the URL is none."""
        super().__init__(clock, worker)
        parts = urlsplit(url)
        self.name = f"the state at {parts.scheme}://{parts.hostname or ''}{parts.path}"  # without the password
        self._errors, self._client = _client(url, self.name)
        self._version: int | None = None

    def _connect(self) -> None:
        """The client does it by itself."""

    def _disconnect(self) -> None:
        self._version = None
        try:
            self._client.close()
        except (self._errors.RedisError, OSError):
            return  # it was gone already

    def _load(self) -> Saved:
        """A server that can't be reached now does not keep the proxy from starting; one that refuses us does."""
        try:
            self._leave()
            self._expire()
            return self._look_now(()).saved
        except (self._errors.AuthenticationError, self._errors.ResponseError):
            raise
        except (self._errors.ConnectionError, self._errors.TimeoutError) as error:
            self._set_error(self._told(error))
            return Saved()

    def _store(self, before: Saved, after: Saved) -> None:
        def change(pipe: Pipeline) -> None:
            changes = []
            for name, was, now in ((COOLDOWNS, before.cooldowns, after.cooldowns), (BREAKERS, before.breakers, after.breakers)):
                stored = _rows(name, _hash(pipe, name))
                changes.append((name, merged(stored, _by_key(name, was), _by_key(name, now))))
            pipe.multi()
            for name, (gone, new) in changes:
                if gone:
                    pipe.hdel(name, *map(_text, gone))
                if new:
                    pipe.hset(name, mapping={_text(key): _text(row[len(key) :]) for key, row in new.items()})

        self._transaction(change, COOLDOWNS, BREAKERS)

    def _reset(self, upstreams: Iterable[str]) -> None:
        names = set(upstreams)

        def change(pipe: Pipeline) -> None:
            gone = {name: [key for key in _rows(name, _hash(pipe, name)) if key[0] in names] for name in (COOLDOWNS, BREAKERS)}
            pipe.multi()
            for name, keys in gone.items():
                if keys:
                    pipe.hdel(name, *map(_text, keys))
            for upstream in names:
                pipe.hincrby(RESETS, upstream, 1)

        self._transaction(change, COOLDOWNS, BREAKERS)

    def _settle(self, asked: Sequence[Asked]) -> dict[str, list[Claim]]:
        found: dict[str, list[Claim]] = {}

        def change(pipe: Pipeline) -> None:
            now = _seconds(pipe.time())
            before = {demand.name: _claims(_hash(pipe, LEASES + demand.name)) for demand, _ in asked}
            pipe.multi()
            for demand, giving in asked:
                found[demand.name] = settle(before[demand.name], self._worker, demand, giving, now)
                _write_claims(pipe, LEASES + demand.name, before[demand.name], found[demand.name])

        self._transaction(change, *(LEASES + demand.name for demand, _ in asked))
        return found

    def _look(self, names: Iterable[str]) -> tuple[Shared, dict[str, list[Claim]]] | None:
        version = int(self._client.get(VERSION) or 0)
        if version == self._version:
            return None
        names = list(names)
        shared = self._look_now(names)
        self._version = version  # read before: what comes in between is looked at twice rather than never
        return shared, self._found

    def _look_now(self, names: Iterable[str]) -> Shared:
        names = list(names)
        pipe = self._client.pipeline(transaction=True)
        for name in (COOLDOWNS, BREAKERS, RESETS, *(LEASES + name for name in names)):
            pipe.hgetall(name)
        cooldowns, breakers, resets, *claims = pipe.execute()
        self._found = {name: _claims(rows) for name, rows in zip(names, claims, strict=True)}
        now = self._clock()
        rows = [row for name, rows in ((COOLDOWNS, cooldowns), (BREAKERS, breakers)) for row in _rows(name, rows).values()]
        saved = Saved(
            tuple(row for row in rows if isinstance(row, SavedCooldown) and row.until > now),
            tuple(row for row in rows if isinstance(row, SavedBreaker) and row.until > now),
        )
        return Shared(saved, {upstream: int(n) for upstream, n in resets.items()})

    def _expire(self) -> None:
        """What is over is deleted."""

        def change(pipe: Pipeline) -> None:
            now = self._clock()
            over = {
                name: [key for key, row in _rows(name, _hash(pipe, name)).items() if row.until <= now] for name in (COOLDOWNS, BREAKERS)
            }
            pipe.multi()
            for name, keys in over.items():
                if keys:
                    pipe.hdel(name, *map(_text, keys))

        self._transaction(change, COOLDOWNS, BREAKERS)

    def _leave(self) -> None:
        for name in self._client.scan_iter(match=f"{LEASES}*", count=1000):
            self._client.hdel(name, self._worker)
        self._client.incr(VERSION)

    def _transaction(self, change: Callable[[Pipeline], None], *watched: str) -> None:
        """`change` reads, calls `multi`, and says what to write; again where another has written what it read."""
        with self._client.pipeline() as pipe:
            for _ in range(TRIES):
                try:
                    pipe.watch(*watched)
                    change(pipe)
                    if pipe.command_stack:
                        pipe.incr(VERSION)
                        pipe.execute()
                    return
                except self._errors.WatchError:
                    continue
        raise StoreError("other processes were always quicker")

    def _told(self, error: Exception) -> str:
        return str(error) if isinstance(error, self._errors.RedisError) else super()._told(error)


def _client(url: str, name: str) -> tuple[Any, Any]:
    """The module of its errors, and a client that answers or fails within PATIENCE_S."""
    try:
        import redis  # noqa: PLC0415 # an optional dependency
    except ImportError:
        raise StoreError(f"{name} needs the Python package redis; install it with: pip install 'turnpike[redis]'") from None
    try:
        return redis.exceptions, redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S, retry=None
        )
    except ValueError as error:
        raise StoreError(f"{name} can't be used: {error}") from None


def _hash(pipe: Pipeline, name: str) -> dict[str, str]:
    """A hash, read at once since nothing has begun yet."""
    found: Any = pipe.hgetall(name)
    return dict(found)


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


def _rows(name: str, stored: Mapping[str, str]) -> dict[Key, Row]:
    kind = SavedCooldown if name == COOLDOWNS else SavedBreaker
    rows = [kind(*orjson.loads(key), *orjson.loads(value)) for key, value in stored.items()]
    return _by_key(name, rows)


def _by_key(name: str, rows: Iterable[Row]) -> dict[Key, Row]:
    columns = 3 if name == COOLDOWNS else 1
    return {row[:columns]: row for row in rows}  # type: ignore[misc] # the first columns are texts


def _claims(stored: Mapping[str, str]) -> list[Claim]:
    return [Claim(worker, *orjson.loads(value)) for worker, value in stored.items()]


def _write_claims(pipe: Pipeline, name: str, before: Iterable[Claim], after: Iterable[Claim]) -> None:
    was, are = {claim.worker: claim for claim in before}, {claim.worker: claim for claim in after}
    if gone := was.keys() - are.keys():
        pipe.hdel(name, *gone)
    changed = {worker: _text(claim[1:]) for worker, claim in are.items() if was.get(worker) != claim}
    if changed:
        pipe.hset(name, mapping=changed)
        pipe.expire(name, LEASES_KEPT_S)


def _seconds(answer: Any) -> float:
    seconds, microseconds = answer
    return float(int(seconds) + int(microseconds) / 1e6)
