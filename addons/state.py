"""What the rooms share: made once by `router.py` and handed to each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from addons.config import Config
from addons.core.call import CallRecord, StoredCall
from addons.core.conversations import Conversations
from addons.core.digest import Digest
from addons.core.estimating import UsageEstimator
from addons.core.keypool import KeyPool, PooledKey
from addons.core.polls import Polls
from addons.core.pricing import Prices
from addons.core.redaction.redactor import Redactor
from addons.keysources import Secret
from addons.storage.writer import Writer
from addons.tokenizer import Tokenizer

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

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()  # names as in /metrics
        self.upstreams: dict[str, str] = {}  # the last that was seen of each: "answering", or "failing: connect"
        self.config_error: str | None = None
        self._secrets: set[Secret] = set()
        self.conversations = Conversations(CONVERSATIONS_REMEMBERED)
        self.polls = Polls()
        self.tokenizer = Tokenizer()

    def adopt(self, config: Config) -> None:
        """Take a configuration into use. A pool whose keys stayed the same keeps its turns and its leases."""
        old = getattr(self, "pools", {})
        self.config = config
        self._secrets |= _exact(config)  # a key that is taken out may still come back in answers to calls that were sent with it
        self.pools = {name: _pool(config, name, old.get(name)) for name in config.upstreams}
        self.prices = Prices({glob: price.model_dump() for glob, price in config.prices.items()})
        self.redactor = Redactor(secret.value for secret in self._secrets)
        self.digest = Digest(
            self.redactor,
            self.prices,
            self.conversations,
            config.capture.bodies,
            config.capture.max_body,
            estimator=UsageEstimator(self.tokenizer),
            polls=self.polls,
        )

    def digest_record(self, record: CallRecord) -> StoredCall:
        """For the writer's thread: by the configuration that is valid when the call is written."""
        return self.digest(record)


def _exact(config: Config) -> set[Secret]:
    """The values that nothing stored may hold: every key and the user's own strings."""
    return {secret for secrets in (*config.secrets.values(), config.exact_strings) for secret in secrets}


def _pool(config: Config, name: str, old: KeyPool | None) -> KeyPool:
    rotation = config.upstreams[name].rotation
    keys = [PooledKey(s.value, s.hint, s.label, s.weight, s.priority) for s in config.secrets.get(name, ())]
    if old and old.rotation == rotation and [key.identity for key in old.keys] == [key.identity for key in keys]:
        return old
    return KeyPool(keys, rotation)
