"""How the calls of a conversation hang together, and where the prompt cache was missed. Pure: ids and counts in, findings out.

A provider caches the beginning of a prompt; a call that repeats it and goes on reads it from there. Each stored message names its
parent, so a chain of ids is a prompt's beginning, and two calls share what their chains share. Agents run side tasks within one
session, go back, and compact their history: each call is compared with the one that it shares most with, not with whichever came before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

SLACK_TOKENS = 128
"""OpenAI counts cached tokens in steps of 128 (https://platform.openai.com/docs/guides/prompt-caching): less is no miss."""

LIFETIME_MS = 5 * 60_000
"""What providers promise at least (Anthropic: 5 minutes; OpenAI: 5 to 10): a longer pause explains a miss."""

Parents = Mapping[int, tuple[int | None, int]]
"""Message id → (the message before it, its place in the chain from 1). System messages are in no chain."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One call: `last` is the last message that it asked with (None: not stored), `systems` are its system messages."""

    last: int | None = None
    systems: tuple[int, ...] = ()
    started_ms: int = 0
    duration_ms: float | None = None
    model: str | None = None
    upstream: str | None = None
    key_hint: str | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


Kind = Literal["start", "continues", "repeats", "changes", "rewinds", "replaces", "unknown"]


@dataclass(frozen=True, slots=True)
class Follow:
    """How a call goes on from another (`before`, its number). `shared`: the last message of both, `shared_n` how many those are;
    `lost_n`: messages of the one before that are not in this one; `new_n`: this one's own.

    start: nothing before it. continues: all of it, and more. repeats: just that. changes: other messages in place of the last ones (an
    edit, or a branch). rewinds: without the last ones. replaces: a new history under the same system
    prompt and model (agents compact theirs so). unknown: no messages are stored.
    """

    kind: Kind
    before: int | None = None
    shared: int | None = None
    shared_n: int = 0
    lost_n: int = 0
    new_n: int = 0
    system_changed: bool = False


@dataclass(frozen=True, slots=True)
class CacheFinding:
    """`hit`: at least what the call before could leave there was read. `miss`: less, by `lost_tokens`, with what may explain it.
    `none`: no cache was used before nor now. `unknown`: not told, or nothing to compare with."""

    state: Literal["hit", "miss", "none", "unknown"]
    lost_tokens: int = 0
    reasons: tuple[str, ...] = ()


Identity = tuple[str | None, tuple[int, ...]]
"""Model and system messages: calls of one task agree in them."""


def follow_all(turns: Sequence[Turn], parents: Parents) -> tuple[Follow, ...]:
    """What each call goes on from, in the order of time."""
    forerunners = _Forerunners(turns, parents)
    follows: list[Follow] = []
    for number, turn in enumerate(turns):
        before, shared = forerunners.of(turn)
        follow = _follow(turn, before, turns, shared, parents)
        follows.append(follow)
        forerunners.learn(number, turn, before, follow.shared_n)
    return tuple(follows)


class _Forerunners:
    """Finds the earlier call that shares most of a call's beginning; of several the latest."""

    def __init__(self, turns: Sequence[Turn], parents: Parents) -> None:
        self._turns = turns
        self._parents = parents
        self._latest: dict[Identity | None, dict[int, int]] = {None: {}}  # None: of any identity
        self._last: dict[Identity, int] = {}
        self._befores: list[tuple[int | None, int]] = []  # of each call so far: the one that it goes on from, and how much both share

    def of(self, turn: Turn) -> tuple[int | None, int | None]:
        """(number of the call, last message that both have). One of the same task goes before another that shares as much: a side task
        often begins with the same message. Without anything shared, the last call of the task, whose history this one replaces."""
        own, any_ = self._shared(turn, identity_of(turn)), self._shared(turn, None)
        if any_ is not None and _depth(any_, self._parents) > _depth(own, self._parents):
            other = self._latest[None][any_]
            if self._is_same_talk(turn, self._turns[other], any_):
                return self._tip(other, any_, None), any_
        if own is not None:
            return self._tip(self._latest[identity_of(turn)][own], own, identity_of(turn)), own
        return (None if turn.last is None else self._last.get(identity_of(turn))), None

    def _tip(self, number: int, shared: int, identity: Identity | None) -> int:
        """The latest of the calls that go on from this one and still have `shared`."""
        depth, members = _depth(shared, self._parents), {number}
        for later in range(number + 1, len(self._befores)):
            before, shared_n = self._befores[later]
            if before in members and shared_n >= depth and identity in (None, identity_of(self._turns[later])):
                members.add(later)
        return max(members)

    def learn(self, number: int, turn: Turn, before: int | None, shared_n: int) -> None:
        self._befores.append((before, shared_n))
        if turn.last is None:
            return
        self._last[identity_of(turn)] = number
        for key in (identity_of(turn), None):
            latest = self._latest.setdefault(key, {})
            for message in _chain(turn.last, self._parents):
                known = message in latest
                latest[message] = number
                if known:
                    break

    def _shared(self, turn: Turn, identity: Identity | None) -> int | None:
        latest = self._latest.get(identity)
        return next((found for found in _chain(turn.last, self._parents) if found in latest), None) if latest else None

    def _is_same_talk(self, turn: Turn, other: Turn, shared: int) -> bool:
        """With another model and another system prompt, one message in common is a coincidence."""
        return turn.model == other.model or turn.systems == other.systems or _depth(shared, self._parents) > 1


def identity_of(turn: Turn) -> Identity:
    return turn.model, turn.systems


def _follow(turn: Turn, before: int | None, turns: Sequence[Turn], shared: int | None, parents: Parents) -> Follow:
    if turn.last is None:
        return Follow("unknown")
    depth = _depth(turn.last, parents)
    if before is None:
        return Follow("start", new_n=depth)
    other = turns[before]
    shared_n = _depth(shared, parents)
    lost, new = _depth(other.last, parents) - shared_n, depth - shared_n
    kinds: dict[tuple[bool, bool], Kind] = {
        (False, False): "repeats",
        (False, True): "continues",
        (True, False): "rewinds",
        (True, True): "changes",
    }
    kind: Kind = "replaces" if shared is None else kinds[lost > 0, new > 0]
    return Follow(kind, before, shared, shared_n, lost, new, turn.systems != other.systems)


def _chain(last: int | None, parents: Parents) -> Iterator[int]:
    """From a message back to the first. A damaged database may lack some, or go round: it ends there."""
    left = len(parents)
    while last is not None and last in parents and left:
        yield last
        last, left = parents[last][0], left - 1


def _depth(message: int | None, parents: Parents) -> int:
    return parents[message][1] if message is not None and message in parents else 0


def cache_findings(turns: Sequence[Turn], follows: Sequence[Follow]) -> tuple[CacheFinding, ...]:
    """One for each call. A call that failed told no counts: the one before it, which it repeated or went on from, stands in for it."""
    findings = []
    for turn, follow in zip(turns, follows, strict=True):
        before = follow.before
        while before is not None and turns[before].cache_read_tokens is None and follows[before].kind in PASSED_ON:
            before = follows[before].before
        findings.append(cache_finding(turn, None if before is None else turns[before], follow))
    return tuple(findings)


PASSED_ON = frozenset({"continues", "repeats"})


def cache_finding(turn: Turn, before: Turn | None, follow: Follow) -> CacheFinding:
    """Was the prompt cache missed? By the provider's own counts: what the call before read and wrote is what this one can read."""
    if before is None or before.cache_read_tokens is None or turn.cache_read_tokens is None:
        return CacheFinding("unknown")
    left = before.cache_read_tokens + (before.cache_write_tokens or 0)
    if not left:
        return CacheFinding("hit" if turn.cache_read_tokens else "none")
    lost = left - turn.cache_read_tokens
    if lost <= SLACK_TOKENS and turn.cache_read_tokens:
        return CacheFinding("hit")
    return CacheFinding("miss", lost, tuple(_reasons(turn, before, follow)) or (UNEXPLAINED,))


UNEXPLAINED = "the messages are the same and the cache was young: the provider had dropped it, or tools or parameters changed"


def _reasons(turn: Turn, before: Turn, follow: Follow) -> Iterator[str]:
    """What differs from the call before, in the order in which a provider compares."""
    for name, now, then in (
        ("upstream", turn.upstream, before.upstream),
        ("key", turn.key_hint, before.key_hint),
        ("model", turn.model, before.model),
    ):
        if now != then:
            yield f"another {name}: caches are kept apart"
    if follow.system_changed:
        yield "the system prompt changed"
    if follow.kind == "replaces":
        yield "the history was replaced"
    if follow.kind == "changes":
        yield "earlier messages changed"
    if follow.kind == "rewinds":
        yield f"the last {follow.lost_n} messages are not there any more"
    pause = turn.started_ms - before.started_ms - (before.duration_ms or 0.0)
    if pause > LIFETIME_MS:
        yield f"{pause / 60_000:.0f} minutes had passed since that call"
