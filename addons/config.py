"""The configuration (DESIGN §3): every model, and `load`.

    load ──► read the file, replace ${NAME} ──► models below ──► what no single value can tell (`config_checks`)
         ──► the values of keys and exact strings (`keysources`)

Models are frozen and refuse unknown names. Their defaults are those of a file that says nothing.
`ConfigFile` holds the one in force and reads a changed file again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from addons.config_checks import problems
from addons.config_errors import ConfigError, bad, nearest, unknown
from addons.config_loading import Document, expand, explain, find_file, read_document, resolve_all
from addons.config_reload import WatchedFile, restart_needed
from addons.config_types import (
    ROOT,
    UNLIMITED_BYTES,
    BaseUrl,
    Count,
    Days,
    FallbackSign,
    Host,
    KeptSize,
    KeyringEntry,
    Number,
    OneVariable,
    PlaceholderShape,
    Port,
    Positive,
    Prefix,
    ProjectPath,
    ProviderName,
    Several,
    Size,
    StateUrl,
    Variable,
    VaultName,
    named_routes,
    named_upstreams,
)
from addons.core.modeldata import Capability
from addons.core.redaction.exact import MIN_EXACT_LENGTH
from addons.core.redaction.placeholders import SHAPE
from addons.core.strategies import Kind, StrategyName
from addons.keysources import Rank, Secret, Sources
from addons.rulefiles import RULE_SETS, rule_file
from addons.storage.retention import Limits

__all__ = ["ROOT", "Config", "ConfigError", "ConfigFile", "load", "restart_needed"]

HOSTS_REMEMBERED = 4096  # clients name the hosts, so what is remembered of them has a bound

Rotation = Literal["sequential", "round_robin", "least_used", "balanced"]
OutgoingMode = Literal["off", "mask", "block", "placeholder"]
Place = Literal["env", "file", "keyring", "vault"]
SOURCE_FORMS: Mapping[Place, str] = {"env": "env: NAME", "file": "file: PATH", "keyring": "keyring: SERVICE/USER", "vault": "vault: NAME"}


class Section(BaseModel):
    """A section of the file. A name without a value (`keys:` and only comments below) means the default."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _known_names_only(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        for name in given:
            if name not in cls.model_fields:
                known = [field for field in cls.model_fields if field != "name" or cls is Route]
                raise unknown(str(name), f"no such setting; known here: {', '.join(known)}{nearest(str(name), known)}")
        return {name: value for name, value in given.items() if value is not None}


class Proxy(Section):
    """`proxy`: where we listen, and how we are addressed. `max_held_body` in bytes, `shutdown_grace` in seconds."""

    host: Host = "127.0.0.1"
    port: Port = 8080
    prefix: Prefix = "/proxy"
    names: tuple[Host, ...] = ()
    allow_remote: bool = False
    other_hosts: Literal["tunnel", "block"] = "tunnel"
    max_held_body: Size = 64 * 2**20
    websocket: Literal["auto", "refuse", "pass"] = "auto"
    shutdown_grace: Number = 10.0


class PlainSource(Section):
    """Where one secret comes from that is not in the vault; exactly one of the places. `keyring`: SERVICE/USER."""

    for_header: ClassVar[bool] = False
    places: ClassVar[tuple[Place, ...]] = ("env", "file", "keyring")

    env: OneVariable | None = None
    file: Path | None = None
    keyring: KeyringEntry | None = None

    @property
    def place(self) -> Place:
        """The name of the one that is given."""
        return next(name for name in self.places if getattr(self, name) is not None)

    @property
    def label(self) -> str:
        """The source as it may be shown."""
        return f"{self.place} {getattr(self, self.place)}"

    @property
    def rank(self) -> Rank:
        """What holds for all that the source gives."""
        return Rank()

    @model_validator(mode="before")
    @classmethod
    def _one_place(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise bad("stands where a source belongs; write {env: NAME} or {file: PATH}, never the secret itself")
        if set(given) <= set(cls.model_fields) and sum(given.get(name) is not None for name in cls.places) != 1:
            raise bad(f"should name one source: {', '.join(SOURCE_FORMS[name] for name in cls.places)}")
        return given


class Source(PlainSource):
    """Where secrets come from. `env` may be NAME*; `vault` is the name of a key in the encrypted file."""

    places: ClassVar[tuple[Place, ...]] = ("env", "file", "keyring", "vault")

    env: Variable | None = None
    vault: VaultName | None = None


class KeySource(Source):
    """An entry of `keys`. Lower `priority` is preferred; within one, keys are taken in proportion to `weight`."""

    for_header: ClassVar[bool] = True

    weight: Positive = 1.0
    priority: Count = 1
    max_concurrent: Count | None = None

    @property
    def rank(self) -> Rank:
        return Rank(self.weight, self.priority, self.max_concurrent)


class Timeout(Section):
    """Seconds. `first_byte` is for streaming calls, `first_byte_whole` for others."""

    connect: Positive = 10.0
    first_byte: Positive = 60.0
    first_byte_whole: Positive = 600.0
    idle: Positive = 300.0


class Models(Section):
    """Globs of the models that an upstream may be asked for, compared without case; deny wins."""

    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()


class Probe(Section):
    """A call made of our own accord. `every` and `timeout` in seconds."""

    path: str = "/v1/models"
    every: Positive = 30.0
    timeout: Positive = 5.0


class OutgoingOverride(Section):
    """What an upstream has otherwise than `redaction.outgoing`."""

    mode: OutgoingMode | None = None


class Upstream(Section):
    """One entry of `upstreams`; `name` is its key there. Without `provider` its name is taken, if that is a known one."""

    name: str = ""
    provider: ProviderName = "openai"
    base_url: BaseUrl | None = None
    hosts: tuple[Host, ...] = ()
    default: bool = False
    inject: Literal["always", "placeholder", "never"] = "always"
    inject_for: tuple[str, ...] = ("turnpike",)
    timeout: Timeout = Timeout()
    kind: Kind = "api"
    keys: tuple[KeySource, ...] = ()
    rotation: Rotation = "balanced"
    models: Models = Models()
    aliases: dict[str, str] = {}
    ask_usage: bool = True
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    probe: Probe | None = None
    redaction: OutgoingOverride = OutgoingOverride()


class Match(Section):
    """What a call must have for a route; globs, all of them. `header`: name → glob."""

    model: str = "*"
    client: str = "*"
    upstream: str = "*"
    path: str = "*"
    header: dict[str, str] = {}


class Destination(Section):
    """An upstream, and the model name that it is asked for (None: as the client asked). `weight`: its share with `weighted`."""

    upstream: str
    model: str | None = None
    weight: Positive = 1.0


class Require(Section):
    """What a candidate's model must have; what is not known of a model passes nobody over. `min_context` in tokens."""

    min_context: Count | None = None
    capabilities: Annotated[tuple[Capability, ...], Several] = ()


class Fallback(Section):
    """When the next upstream is tried. `deadline`: the most seconds that waits may add."""

    on: tuple[FallbackSign, ...] = ("rate_limit", "quota", "auth", "overloaded", "server", "connect", "timeout")
    max_attempts: Count = 5
    deadline: Number = 30.0


class Route(Section):
    """One entry of `routes`; a nameless one is called by its place, from 1. `strategy`: compared in that order.

    Only a ready-made one (`core/strategies.py`) does without `to`: then every upstream that offers the model may be tried.
    """

    name: str = ""
    match: Match = Match()
    strategy: Annotated[tuple[StrategyName, ...], Several, Field(min_length=1)] = ("priority",)
    to: Annotated[tuple[Destination, ...], Field(min_length=1)] = ()
    require: Require = Require()
    fallback: Fallback = Fallback()


class Keep(Section):
    """How long captures stay, whichever comes first: `days` since they were stored, `max_size` (bytes) of the database,
    less what pinned calls have."""

    days: Days = 30.0
    max_size: KeptSize = 10 * 2**30

    @property
    def limits(self) -> Limits:
        """As the store takes them."""
        return Limits(self.days if isfinite(self.days) else None, self.max_size if self.max_size < UNLIMITED_BYTES else None)


class Capture(Section):
    """`capture`: what is stored. `max_body` and `max_queue`, what may wait for a disk that does not follow, in bytes."""

    database: ProjectPath = ROOT / "data/turnpike.db"  # in `load`, TURNPIKE_DB comes before this
    bodies: bool = True
    max_body: Size = 16 * 2**20
    max_queue: Size = 256 * 2**20
    keep: Keep = Keep()


class Stored(Section):
    """Redaction of what is stored: always on."""

    mode: Literal["mask"] = "mask"


class Outgoing(Section):
    """Redaction of what is sent. `clients`: glob of the client, in any case → mode, the first that fits. `restore`: where in an answer
    placeholders become secrets again; `shape`: what placeholders look like."""

    mode: OutgoingMode = "off"
    clients: dict[str, OutgoingMode] = {}
    restore: Literal["text_and_tools", "text", "off"] = "text_and_tools"
    shape: PlaceholderShape = SHAPE


class Redaction(Section):
    """`redaction`. `rules` as `rulefiles.read_rules` takes them; `strings` are exact values, resolved in `Config.exact_strings`."""

    stored: Stored = Stored()
    outgoing: Outgoing = Outgoing()
    rules: tuple[str, ...] = ("builtin",)
    strings: tuple[Source, ...] = ()


class Vault(Section):
    """`vault`: the encrypted file of keys, and where its passphrase comes from."""

    file: ProjectPath = ROOT / "data/keys.vault"
    passphrase: PlainSource = PlainSource(env="TURNPIKE_VAULT_PASSPHRASE")


class Catalogue(Section):
    """`catalogue`: the list of models. `ttl` in seconds."""

    ttl: Number = 300.0


class Price(Section):
    """USD per million tokens. Without a price of their own cached tokens cost what input costs, reasoning what output costs, and
    one-hour cache writes what other cache writes cost."""

    input: Number
    output: Number
    cache_read: Number | None = None
    cache_write: Number | None = None
    cache_write_1h: Number | None = None
    reasoning: Number | None = None


class Logs(Section):
    """`logs`. `max_size`: of one file, in bytes; `keep_days`: how long one stays that is full, or of another day."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    folder: ProjectPath = ROOT / "data/logs"
    keep_days: Positive = 30.0
    max_size: Size = 100 * 2**20


class State(Section):
    """`state`: where cooldowns, limits and client tokens are kept."""

    url: StateUrl = f"sqlite:{ROOT / 'data/state.db'}"

    @property
    def is_remote(self) -> bool:
        """On a server (Redis, Valkey), so that other proxies may use it."""
        return not self.url.startswith("sqlite:")

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path(self.url.removeprefix("sqlite:"))


class Config(Section):
    """The whole file. Made by `load`; made directly it has no source, no secrets and the defaults."""

    version: Literal[1] = 1
    proxy: Proxy = Proxy()
    upstreams: Annotated[dict[str, Upstream], BeforeValidator(named_upstreams)] = {}
    routes: Annotated[tuple[Route, ...], BeforeValidator(named_routes)] = ()
    capture: Capture = Capture()
    redaction: Redaction = Redaction()
    vault: Vault = Vault()
    catalogue: Catalogue = Catalogue()
    prices: dict[str, Price] = {}
    logs: Logs = Logs()
    state: State = State()

    _source: Path = PrivateAttr(ROOT / "config/turnpike.yml")
    _secrets: dict[str, tuple[Secret, ...]] = PrivateAttr(default_factory=dict)
    _exact_strings: tuple[Secret, ...] = PrivateAttr(())

    @property
    def source(self) -> Path:
        """The file that this was read from."""
        return self._source

    @property
    def secrets(self) -> dict[str, tuple[Secret, ...]]:
        """The keys of each upstream (by its name), in the order of the file; a key named twice stands once."""
        return self._secrets

    @property
    def exact_strings(self) -> tuple[Secret, ...]:
        """The values of `redaction.strings`."""
        return self._exact_strings

    @cached_property
    def is_protected(self) -> bool:
        """May anything that is sent have to be cleaned of secrets?"""
        outgoing = self.redaction.outgoing
        modes = (outgoing.mode, *outgoing.clients.values(), *(upstream.redaction.mode for upstream in self.upstreams.values()))
        return any(mode not in (None, "off") for mode in modes)

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files that this was made of: the configuration, key files, files of rules, and the vault if a key of it is named."""
        sources: list[PlainSource] = list(self.sources)
        vault = [self.vault.file] if any(source.vault for source in self.sources) else []
        if vault:
            sources.append(self.vault.passphrase)
        rules = (rule_file(name) for name in self.redaction.rules if name not in RULE_SETS)
        return (self.source, *vault, *rules, *(ROOT / source.file.expanduser() for source in sources if source.file))

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that are named, in the order of the file."""
        keys = (source for upstream in self.upstreams.values() for source in upstream.keys)
        return (*keys, *self.redaction.strings)

    @cached_property
    def providers(self) -> dict[str, str]:
        """Upstream name → provider name, in the order of the file."""
        return {name: upstream.provider for name, upstream in self.upstreams.items()}

    @cached_property
    def default_upstream(self) -> Upstream | None:
        """The upstream with `default: true`."""
        return next((upstream for upstream in self.upstreams.values() if upstream.default), None)

    def upstream_for_host(self, host: str) -> Upstream | None:
        """The upstream that names this host (no port): a plain name before a glob, then the order of the file."""
        return self._by_host(host.lower().rstrip("."))

    @cached_property
    def _by_host(self) -> Callable[[str], Upstream | None]:
        named = [(pattern, upstream) for upstream in self.upstreams.values() for pattern in upstream.hosts]
        exact = dict(named)

        @lru_cache(HOSTS_REMEMBERED)
        def find(host: str) -> Upstream | None:
            return exact.get(host) or next((upstream for pattern, upstream in named if fnmatchcase(host, pattern)), None)

        return find


def load(path: str | Path | None = None, environ: Mapping[str, str] = os.environ, *, secrets: bool = True) -> Config:
    """Read and check the whole configuration. Raises ConfigError, which is one line.

    Without `secrets` keys and exact strings are left out, for commands that need neither: the variables that hold them may
    be set in the proxy's shell only.
    """
    file = find_file(path, environ, ROOT)
    name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else str(file)
    try:
        return _checked(read_document(file, name, environ), file, environ, secrets)
    except ConfigError as error:
        raise ConfigError(str(error), {file, *error.watched}) from None


def _checked(document: Document, file: Path, environ: Mapping[str, str], secrets: bool) -> Config:
    try:
        config = Config.model_validate(expand(document, environ))
    except ValidationError as error:
        raise explain(document, error) from None
    config._source = file
    for problem in problems(config):
        raise ConfigError(str(document.error(problem.loc, f"{document.shown(problem.loc)} {problem.text}")), config.watched)
    if not secrets:
        return config
    sources = Sources(environ, ROOT, config.vault)
    try:
        for name, upstream in config.upstreams.items():
            config._secrets[name] = resolve_all(document, ("upstreams", name, "keys"), upstream.keys, sources)
        config._exact_strings = resolve_all(
            document, ("redaction", "strings"), config.redaction.strings, sources, shortest=MIN_EXACT_LENGTH
        )
    except ConfigError as error:
        raise ConfigError(str(error), config.watched) from None
    return config


class ConfigFile(WatchedFile[Config]):
    """The configuration that is in force, and its file. Made only of a valid one: raises ConfigError."""

    def __init__(self, path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__(find_file(path, environ, ROOT), lambda file: load(file, environ))
