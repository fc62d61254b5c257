"""What the rooms share: made once by `router.py` and handed to each of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from mitmproxy import http

from addons.config import Config
from addons.core.breaker import Breaker
from addons.core.call import CallRecord, StoredCall
from addons.core.conversations import Conversations
from addons.core.digest import Digest
from addons.core.estimating import UsageEstimator
from addons.core.keypool import KeyPool, PooledKey
from addons.core.polls import Polls
from addons.core.pricing import Prices
from addons.core.redaction.bodies import BodyScanner
from addons.core.redaction.known import Known
from addons.core.redaction.memory import Memory
from addons.core.redaction.placeholders import PlaceholderMap, PlaceholderMaps
from addons.core.redaction.redactor import Redactor
from addons.core.routes import needs_model_data
from addons.core.speeds import Speeds
from addons.core.tallies import Tallies
from addons.core.tries import Tries
from addons.health import restore, saved_of
from addons.keysources import Secret
from addons.logfiles import LogFiles
from addons.modeltables import ModelTables
from addons.reports import Reports
from addons.rulefiles import make_scanner
from addons.slotting import Slotting
from addons.storage.statefile import StateFile
from addons.storage.statekeeper import StateKeeper
from addons.storage.stateredis import StateRedis
from addons.storage.writer import Writer
from addons.tokenizer import Tokenizer
from addons.worker import Worker, this_worker

HEALTH_S = 0.1
CONVERSATIONS_REMEMBERED = 20_000  # a digest and an id each, some 5 MB


class State:
    """The configuration that is valid now, the key pools made from it, counts, and the writer.

    `config` changes only between two calls (Settings swaps it); a call that runs keeps what it has read.
    """

    config: Config
    writer: Writer
    pools: Mapping[str, KeyPool]
    digest: Digest
    prices: Prices
    redactor: Redactor

    def __init__(self, worker: Worker | None = None) -> None:
        self.worker = worker or this_worker()
        self.counts: Counter[str] = Counter()  # names as in /metrics
        self.tallies = Tallies()
        self.live: dict[str, http.HTTPFlow] = {}  # the calls that run, by id
        self.draining_until: float | None = None  # monotonic clock, seconds: no new calls any more
        self.logs = LogFiles()
        self.breakers: dict[str, Breaker] = {}
        self.statefile: StateKeeper | None = None
        self.slotting: Slotting | None = None
        self.reports: Reports | None = None  # what other processes on the same port have counted
        self._health_waits = False
        self.outgoing: BodyScanner | None = None  # where anything that is sent may have to be cleaned
        self._memory = Memory()
        self._placeholders: PlaceholderMaps | None = None
        self._placeholder_key = self.worker.placeholder_key  # for this run; the next request after it makes new ones
        self.config_error: str | None = None
        self._secrets: set[Secret] = set()
        self.conversations = Conversations(CONVERSATIONS_REMEMBERED)
        self.polls = Polls()
        self.tokenizer = Tokenizer()
        self.speeds = Speeds()
        self.models = ModelTables()
        self.listed: Mapping[str, frozenset[str]] = {}  # the models that each upstream was last seen to list; replaced, never changed

    def adopt(self, config: Config) -> None:
        """Take a configuration into use. A pool whose keys stayed the same keeps its turns and its leases."""
        old = getattr(self, "pools", {})
        self.config = config
        self._secrets |= _exact(config)  # a key that is taken out may still come back in answers to calls that were sent with it
        self.pools = {name: _pool(config, name, old.get(name)) for name in config.upstreams}
        self.breakers = {name: self.breakers.get(name) or Breaker() for name in config.upstreams}
        self.prices = Prices({glob: price.model_dump() for glob, price in config.prices.items()})
        if any(needs_model_data(route) for route in config.routes):
            self.models.want()
        exact = (secret.value for secret in self._secrets)
        self.redactor = Redactor(exact, make_scanner("stored", config.redaction.rules), self._memory)
        self.outgoing = self._outgoing_scanner(config)
        self._placeholders = None
        self.digest = Digest(
            self.redactor,
            self.prices,
            self.conversations,
            config.capture.bodies,
            config.capture.max_body,
            estimator=UsageEstimator(self.tokenizer),
            polls=self.polls,
        )
        if self.slotting:
            self.slotting.adopt(self.pools, self.breakers)

    def placeholders_of(self, client: str, conversation: str) -> PlaceholderMap:
        """What stands for secrets in this client's conversation."""
        if self._placeholders is None:
            self._placeholders = PlaceholderMaps(self._placeholder_key, self.config.redaction.outgoing.shape)
        return self._placeholders.map_for(client, conversation, time.time())

    def open_statefile(self) -> None:
        """Stand as the last run ended, and as others do now. Raises StoreError (one line)."""
        state, worker = self.config.state, self.worker
        keeper: StateKeeper = StateRedis(state.url, worker=worker.name) if state.is_remote else StateFile(state.path, worker=worker.name)
        restore(keeper.start(), self.pools, self.breakers, time.time())
        self.statefile = keeper
        self.slotting = Slotting(keeper, worker.count, shares=state.is_remote or not worker.is_alone)
        self.slotting.adopt(self.pools, self.breakers)

    def health_changed(self) -> None:
        """A key cools, or a breaker has counted something: worth remembering, but not each of a storm by itself."""
        if self.statefile and not self._health_waits:
            self._health_waits = True
            asyncio.get_running_loop().call_later(HEALTH_S, self.save_health)

    def save_health(self) -> None:
        """Hand over how pools and breakers stand now."""
        self._health_waits = False
        if self.statefile:
            self.statefile.put(saved_of(self.pools, self.breakers, time.time()))

    def note_answer(self, tries: Tries) -> None:
        """The upstream of this call answers."""
        was_well = tries.current is None or (tries.current.breaker.failures == 0 and tries.sent == 1)
        tries.answered(time.time())
        if not was_well:
            self.health_changed()

    def _outgoing_scanner(self, config: Config) -> BodyScanner | None:
        if not config.is_protected:
            return None
        exact = [secret.value for secret in self._secrets]
        return BodyScanner(Known(exact, make_scanner("outgoing", config.redaction.rules)), self._memory)

    def digest_record(self, record: CallRecord) -> StoredCall:
        """For the writer's thread: by the configuration that is valid when the call is written."""
        return self.digest(record)

    def digest_each(self, records: Sequence[CallRecord]) -> Sequence[StoredCall | Exception]:
        """The same of several."""
        return self.digest.each(records)


def _exact(config: Config) -> set[Secret]:
    """The values that nothing stored may hold: every key and the user's own strings."""
    return {secret for secrets in (*config.secrets.values(), config.exact_strings) for secret in secrets}


def _pool(config: Config, name: str, old: KeyPool | None) -> KeyPool:
    """A new pool, in which keys that stayed keep their leases and cooldowns."""
    keys = [PooledKey(s.value, s.hint, s.label, s.weight, s.priority, s.max_concurrent) for s in config.secrets.get(name, ())]
    pool = KeyPool(keys, config.upstreams[name].rotation)
    if old:
        pool.adopt(old)
    return pool
