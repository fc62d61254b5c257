"""The keys of one upstream, and who may use which of them when: pure, the clock passed in as Unix time in seconds.

    lease ──► succeeded … release          accepted
      │   ╰─► cool or lock_out ──► release                 refused: the next key
      │                        ╰─► keep(Ticket)            refused, with a short wait: the same key after its cooldown
      ╰─► None ──► enqueue(Ticket) ──► on_granted          no key is free: wait for the first

The pool has no clock: whoever owns it sets a timer to `next_event` whenever `on_waiting` is called, and then calls `serve`.

A key is free for a model when it is not cooling for it, has fewer calls in flight than `max_concurrent`, and is neither at the limit of its
ramp (`lanes.py`) nor ahead of its pace (`pace.py`), which only keys have that were refused lately. Nobody waits while a key is free, and a
new call does not overtake one that waits for the same model.

A call that continues a conversation stays on its key until that key cools. Where the key is only busy, another that is free serves
the call, since a cold prompt cache costs less than a wait; the conversation still belongs to its key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from math import inf

from addons.core.affinity import Affinity
from addons.core.cooldowns import LOCK_STEPS_S, LOCKED, WHOLE_KEY, QuotaGroups
from addons.core.keystates import KeyCooldown, KeyState, key_cooldowns, key_state
from addons.core.lanes import Lanes, lane_of
from addons.core.pace import Pace
from addons.core.pooledkey import Lease, PooledKey
from addons.core.rotation import ROTATIONS, Turn
from addons.core.waiting import Line, Ticket

__all__ = ["WHOLE_KEY", "KeyCooldown", "KeyPool", "KeyState", "Lease", "PooledKey", "Ticket"]

MODELS = 64
"""That lanes are kept for, the most recent ones: names come from clients, and each costs a lane per key."""


class KeyPool:
    """`keys` in the order of the file; `rotation` is one of `rotation.ROTATIONS`. One thread only.

    `on_waiting` is called when calls wait, or still wait after something has changed: `next_event` may have become another.
    """

    def __init__(self, keys: Sequence[PooledKey], rotation: str) -> None:
        self.keys, self.rotation = list(keys), rotation
        self._pick, self._turn = ROTATIONS[rotation], Turn()
        self._lanes: OrderedDict[str, Lanes] = OrderedDict()
        self._switched_at: dict[str, float] = {}  # when a key last began to cool for a model
        self._groups = QuotaGroups()
        self._affinity = Affinity()
        self._line = Line()
        self.on_waiting: Callable[[KeyPool], None] | None = None
        self._state = 0  # changes whenever a key may have become free other than by time
        for key in self.keys:
            key.holders.add(self)

    def lease(self, now: float, model: str = "", affinity: str | None = None) -> Lease | None:
        """A key for a call to `model`, None if none is free. `affinity` names the conversation that the call continues."""
        if self._line:
            self.serve(now)
        return self._lease(now, model, affinity)

    def release(self, lease: Lease, now: float) -> None:
        """Give a key back, and on to whoever waits for it; a second time does nothing, since several ends of one call may come."""
        if not lease.returned:
            lease.lane.leave(lease, now)
            if lease.key.slots is not None:
                lease.key.slots.returned()
            lease.key.loosened(now)

    def succeeded(self, lease: Lease, now: float, affinity: str | None = None) -> None:
        """Its call was accepted. To be told as soon as that is known, best when the answer begins, since others may wait for it.

        `affinity` names the conversation, which from now on stays on this key.
        """
        key = lease.key
        if not lease.succeeded:
            lease.succeeded = True
            for group in self._groups.groups(lease.model) if key.cooldowns else ():
                cooldown = key.cooldowns.get(group)
                if cooldown and lease.sent_after(cooldown, now):
                    cooldown.step = 0
            if lease.lane.succeed(lease, now):
                key.loosened(now)
        if affinity:
            known = self._affinity.of(affinity)
            lane = known.lanes.get(lease.model) if known else None
            if lane is None or lane.until > now:  # else it was only busy, and the conversation still belongs there
                self._affinity.remember(affinity, key)

    def cool(self, lease: Lease, now: float, seconds: float | None, group: str | None = None, *, why: str = "rate_limit") -> float:
        """The key of a call that was refused rests for `seconds`, or where none were named longer each time.

        `group` is a quota group that the model counts towards, by default the model alone; `*` is the whole key. `why`: the class of
        the failure. Gives the time until which the key rests for the call's model, which another refusal may have set.
        """
        name = lease.model if group is None else group
        cooldown = lease.key.cooldown(name, now)
        cooldown.extend(now, seconds, why=why, fresh=lease.sent_after(cooldown, now))
        return self._refused(lease, now, name)

    def lock_out(self, lease: Lease, now: float) -> float:
        """The key itself was refused: it rests as a whole, longer each time. Gives the time until which."""
        lock = lease.key.cooldown(LOCKED, now)
        lock.extend(now, None, why="auth", fresh=lease.sent_after(lock, now), steps=LOCK_STEPS_S)
        return self._refused(lease, now, LOCKED)

    def keep(self, ticket: Ticket, lease: Lease, now: float) -> None:
        """A call that was refused waits with its key until that has cooled (as far as is known now), then goes before all that hold none:
        on that key, or where that lets only others go, on any that is free. The ticket gives `lease` back, and grants a new one."""
        ticket.kept = self, lease
        self._line.keep(ticket, lease, lease.lane.until)
        self.serve(now)

    def free_at(self, now: float, model: str) -> float | None:
        """When cooldowns first let some key go; `now` if one is free or merely busy. None without keys."""
        return max(now, self._lanes_for(model, now).cool_until()) if self.keys else None

    def exhausted(self, now: float, model: str) -> bool:
        """Has it keys, all of them cooling or locked? Busy is not exhausted."""
        return bool(self.keys) and self._lanes_for(model, now).cool_until() > now

    def enqueue(self, ticket: Ticket, now: float, model: str | None = None) -> None:
        """Wait here, too; `model` where it has another name here than in the ticket. May grant at once."""
        self._line.add(ticket, ticket.model if model is None else model)
        self.serve(now)

    def serve(self, now: float) -> None:
        """Give what is free to those that wait."""
        for lease in self._line.ended(now):
            lease.lane.leave(lease, now)
            self._state += 1
        blocked: set[str] = set()
        while self._line and (first := self._line.first(blocked)):
            model, ticket = first
            if granted := self._lease(now, model, ticket.affinity, ticket.home):
                ticket.grant(self, granted, now)
            else:
                blocked.add(model)
        if not self._line:
            return
        for key in self.keys:
            if key.slots is not None:
                key.slots.touch()
        if self.on_waiting:
            self.on_waiting(self)

    def next_event(self, now: float) -> float | None:
        """When to call `serve` next; None if nobody waits for time to pass."""
        times = [self._lanes_for(model, now).opens_at(now, self._state) for model in self._line.models()]
        first = min(*times, self._line.next_end(), inf)
        return None if first == inf else max(now, first)

    def lacking(self, key: PooledKey, now: float) -> int:
        """How many calls wait here that this key could serve at once, if this process had more of its slots."""
        most = key.max_concurrent or 0
        models = [model for model in self._line.models() if (lane := key.lanes.get(model)) and lane.lacks_slot(now)]
        return min(most - key.in_flight, sum(self._line.count(model, most) for model in models)) if models else 0

    def forgive(self, now: float) -> None:
        """Nothing cools any more, and nothing is known of paces: somebody has seen to it (topped up, mended a key)."""
        for key in self.keys:
            key.cooldowns.clear()
            for lane in key.lanes.values():
                lane.until, lane.pace = 0.0, Pace()
        for lanes in self._lanes.values():
            lanes.tightened()
        for key in self.keys:
            key.loosened(now)

    def states(self, now: float) -> list[KeyState]:
        """What is known of each key, in their order."""
        return [key_state(key, now) for key in self.keys]

    def snapshot(self, now: float) -> list[KeyCooldown]:
        """The cooldowns that run, as plain values that hold no key, to outlive a restart."""
        return [row for key in self.keys for row in key_cooldowns(key, now)]

    def restore(self, saved: Iterable[tuple[str, str, float, int, str]], now: float) -> None:
        """Take up what `snapshot` gave before a restart, or in another process; what is of keys that are not here is ignored."""
        keys = {key.id: key for key in self.keys}
        for key_id, group, until, step, why in saved:
            if key := keys.get(key_id):
                cooldown = key.cooldown(group, now)
                cooldown.step = max(cooldown.step, step)
                if until > cooldown.until:
                    cooldown.set_at = key.tick()  # calls that are under way belong to the burst that set it
                cooldown.reach(now, until, why)
                self._cool(key, group, now)

    def adopt(self, old: KeyPool) -> None:
        """Go on from what was known before the configuration changed: a key that stayed keeps its state, and its leases count.
        Calls that use the old pool, or wait in it, may go on: both know what happens to the keys that they share."""
        stayed = {key.value: key for key in old.keys}
        for place, key in enumerate(self.keys):
            if known := stayed.pop(key.value, None):
                known.configure(key)
                known.holders.add(self)
                self.keys[place] = known
        self._lanes.clear()
        self._affinity = old._affinity.among(set(self.keys))
        self._groups, self._switched_at = old._groups.copy(), dict(old._switched_at)
        self._turn, self.on_waiting = Turn(old._turn.place, old._turn.turns), old.on_waiting

    def loosened(self, now: float) -> None:
        """A key may have become free."""
        self._state += 1
        if self._line:
            self.serve(now)

    def tightened(self, model: str, now: float, switched: bool) -> None:
        """A key rests, or longer, for a model; `switched`: it was in use until now."""
        if switched:
            self._switched_at[model] = now
        if model in self._lanes:
            self._lanes[model].tightened()

    def forgot(self, model: str) -> None:
        """A key has no lane any more for a model."""
        self._lanes.pop(model, None)

    def _lease(self, now: float, model: str, affinity: str | None, home: PooledKey | None = None) -> Lease | None:
        """One of the free keys: the conversation's own, else the one whose turn it is."""
        lanes = self._lanes_for(model, now)
        switched_at = self._switched_at.get(model, -inf)
        if len(self.keys) == 1:  # there is nothing to choose, and nobody whose turn it could be instead
            only = lanes.lanes[0]
            return only.admit(model, now, switched_at) if only.opens_at(now) <= now else None
        free = lanes.free(now, self._state)
        if not free:
            return None
        home = home if home and self in home.holders.all() else self._affinity.of(affinity)
        lane = home.lanes.get(model) if home else None
        if lane is None or lane.opens_at(now) > now:
            lane = lanes.lanes[self._pick(self.keys, free, self._turn)]
        return lane.admit(model, now, switched_at)

    def _lanes_for(self, model: str, now: float) -> Lanes:
        if model in self._lanes:
            self._lanes.move_to_end(model)
            return self._lanes[model]
        if len(self._lanes) >= MODELS:
            self._forget(next(iter(self._lanes)))
        groups = self._groups.groups(model)
        self._lanes[model] = Lanes([lane_of(key, model, groups, now) for key in self.keys])
        return self._lanes[model]

    def _forget(self, model: str) -> None:
        """Cooldowns stay known, ramps and paces do not."""
        self._switched_at.pop(model, None)
        self._groups.forget(model)
        self.forgot(model)
        for key in self.keys:
            key.forget(model)

    def _refused(self, lease: Lease, now: float, group: str) -> float:
        """A cooldown has been set for a lease."""
        key, model = lease.key, lease.model
        key.cooldowns[group].set_at = key.tick()
        lease.refused, lease.succeeded = True, False
        lease.lane.refuse(lease)
        self._lanes_for(model, now)
        for other in self.keys if self._groups.learn(group, model) else ():
            self._cool(other, group, now)
        self._cool(key, group, now)
        lane = lane_of(key, model, (), now)
        if lease.lane is lane:
            lane.stay(lease)
        return lane.until

    def _cool(self, key: PooledKey, group: str, now: float) -> None:
        """The lanes that a cooldown concerns."""
        models = list(key.lanes) if group in (WHOLE_KEY, LOCKED) else self._groups.models(group)
        for model in models if group in key.cooldowns else ():
            if lane := key.lanes.get(model):
                switched = lane.cool(now, key.cooldowns[group].until)
                for pool in key.holders.all():
                    pool.tightened(model, now, switched)
