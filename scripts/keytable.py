"""Which keys a configuration has, one by one: what can't be had is a line like the others, and keeps no other from being shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from addons.config import Config, Upstream
from addons.core.keyformats import misfit
from addons.keysources import Rank, Secret, SourceError, Sources

HEADINGS = ("upstream", "key", "hint", "priority", "weight", "max_concurrent", "note")
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One line of the list. Without `secret` there is no key to be had; `note` says why, or what is odd about it.

    `counts` is False for what the pool has nothing of: variables that may be missing and are, a key that stands there twice.
    """

    upstream: str
    label: str
    rank: Rank
    secret: Secret | None
    note: str = ""
    counts: bool = True

    @property
    def hint(self) -> str:
        return shown_hint(self.secret)

    @property
    def row(self) -> tuple[str, ...]:
        weight, priority, most = self.rank
        return self.upstream, self.label, self.hint, str(priority), f"{weight:g}", str(most or NOTHING), self.note


def shown_hint(secret: Secret | None) -> str:
    """All that is ever shown of a key."""
    return f"…{secret.hint or ''}" if secret else NOTHING


def listed_keys(config: Config, sources: Sources, upstreams: Collection[str] = ()) -> Iterator[ListedKey]:
    """The keys of these upstreams, of all where none is named, in the order of the file."""
    for upstream in config.upstreams.values():
        if not upstreams or upstream.name in upstreams:
            yield from _of_upstream(upstream, sources)


def _of_upstream(upstream: Upstream, sources: Sources) -> Iterator[ListedKey]:
    first: dict[str, str] = {}
    for source in upstream.keys:
        try:
            secrets = sources.resolve(source)
        except SourceError as error:
            yield ListedKey(upstream.name, source.label, source.rank, None, str(error))
            continue
        if not secrets:
            yield ListedKey(upstream.name, source.label, source.rank, None, "no such variable is set", counts=False)
        for secret in secrets:
            if label := first.get(secret.value):
                yield ListedKey(upstream.name, secret.label, source.rank, secret, f"the same key as {label}, which counts", counts=False)
                continue
            first[secret.value] = secret.label
            note = misfit(upstream.provider, secret.value, upstream.base_url, upstream.hosts)
            yield ListedKey(upstream.name, secret.label, source.rank, secret, note or "")


def unused(config: Config, sources: Sources) -> list[Secret]:
    """What the vault holds that nothing in the configuration names. Raises SourceError where it can't be opened."""
    named = {source.vault for source in config.sources}
    return [Secret(value, name) for name, value in sorted(sources.vault_keys().items()) if name not in named]


def users_of(config: Config, name: str) -> list[str]:
    """Where in the configuration this key of the vault is named."""
    upstreams = [f"upstreams.{user.name}.keys" for user in config.upstreams.values() if name in (source.vault for source in user.keys)]
    return upstreams + ["redaction.strings"] * (name in (source.vault for source in config.redaction.strings))


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as lines, each column as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
