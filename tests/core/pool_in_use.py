"""What holds for a key pool whatever is done with it, as a state machine; `test_keypool.py` runs it."""

from __future__ import annotations

from math import inf

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from addons.core.keypool import KeyPool, Lease, PooledKey, Ticket
from addons.core.rotation import ROTATIONS
from tests.core.pools import leased, make_key, make_pool

NOW = 1_000_000.0
MODELS = st.sampled_from(["m", "n", "o"])
TIMES = st.sampled_from([0.0, 0.1, 1.0, 5.0, 30.0, 400.0])


class PoolInUse(RuleBasedStateMachine):
    """A pool in any use: calls come, wait, are answered, refused, given up; time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.held: list[Lease] = []
        self.tickets: list[Ticket] = []
        self.granted: list[Ticket] = []
        self.ends: dict[tuple[str, str], float] = {}
        self.pool = make_pool("")
        self.timer: float | None = None
        self.refused = False

    @initialize(limits=st.lists(st.none() | st.integers(1, 3), min_size=1, max_size=4), rotation=st.sampled_from(sorted(ROTATIONS)))
    def make(self, limits: list[int | None], rotation: str) -> None:
        self.pool = KeyPool([make_key(str(place), max_concurrent=limit) for place, limit in enumerate(limits)], rotation)
        self.pool.on_waiting = self.set_timer

    def set_timer(self, pool: KeyPool) -> None:
        self.timer = pool.next_event(self.now)

    @rule(model=MODELS, affinity=st.none() | st.sampled_from("xy"))
    def lease(self, model: str, affinity: str | None) -> None:
        """No new lease waits while a free key exists."""
        lease = self.pool.lease(self.now, model, affinity)
        if lease:
            self.held.append(lease)
            assert not [ticket for ticket in self.tickets if ticket.waits and ticket.model == model and not ticket.kept]
        else:
            assert not self.open_keys(model)
            assert self.refused or all(key.in_flight == key.max_concurrent for key in self.pool.keys)

    @rule(model=MODELS, affinity=st.none() | st.sampled_from("xy"))
    def wait(self, model: str, affinity: str | None) -> None:
        ticket = Ticket(model, affinity, self.granted.append)
        self.tickets.append(ticket)
        self.pool.enqueue(ticket, self.now)

    @rule(data=st.data(), affinity=st.none() | st.sampled_from("xy"))
    @precondition(lambda self: self.held)
    def succeed(self, data: st.DataObject, affinity: str | None) -> None:
        self.pool.succeeded(data.draw(st.sampled_from(self.held)), self.now, affinity)

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def release(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.held))
        self.held.remove(lease)
        self.pool.release(lease, self.now)
        self.pool.release(lease, self.now)

    @rule(
        data=st.data(),
        seconds=st.none() | st.sampled_from([0.0, 0.5, 7.0, 60.0, 3600.0]),
        group=st.sampled_from([None, None, "*", "n", "g"]),
    )
    @precondition(lambda self: self.held)
    def cool(self, data: st.DataObject, seconds: float | None, group: str | None) -> None:
        """The key rests for at least as long as was named."""
        lease = data.draw(st.sampled_from(self.held))
        self.refused = True
        assert self.pool.cool(lease, self.now, seconds, group) >= self.now + (seconds or 0)

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def lock_out(self, data: st.DataObject) -> None:
        self.refused = True
        assert self.pool.lock_out(data.draw(st.sampled_from(self.held)), self.now) >= self.now + 300

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def keep(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.held))
        self.held.remove(lease)
        self.refused = True
        self.pool.cool(lease, self.now, 3)
        ticket = Ticket(lease.model, None, lambda ticket: self.held.append(ticket.take() or lease))
        self.pool.keep(ticket, lease, self.now)
        self.tickets.append(ticket)

    @rule(data=st.data())
    @precondition(lambda self: self.tickets)
    def give_up(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.tickets))
        self.tickets.remove(ticket)
        if ticket in self.granted:
            self.granted.remove(ticket)
        ticket.cancel(self.now)

    @rule()
    def take(self) -> None:
        for ticket in self.granted:
            self.held.append(ticket.take() or leased(self.pool, self.now))
            self.tickets.remove(ticket)
        self.granted.clear()

    @rule(seconds=TIMES)
    def pass_time(self, seconds: float) -> None:
        """Served when the pool has asked for it, and at no other time."""
        end = self.now + seconds
        while self.timer is not None and self.timer <= end:
            self.now, self.timer = max(self.timer, self.now), None
            self.pool.serve(self.now)
        self.now = end

    @rule(rotation=st.sampled_from(sorted(ROTATIONS)))
    @precondition(lambda self: not any(ticket.waits for ticket in self.tickets))
    def reload(self, rotation: str) -> None:
        new = KeyPool([PooledKey(key.value, None, key.label, max_concurrent=key.max_concurrent) for key in self.pool.keys], rotation)
        new.adopt(self.pool)
        self.pool = new

    @invariant()
    def leases_are_counted(self) -> None:
        """Every lease that is not given back, and no other; none above the limit."""
        kept = [ticket.kept[1] for ticket in self.tickets if ticket.kept]
        out = [*self.held, *kept, *(ticket.lease for ticket in self.granted if ticket.lease)]
        for key in self.pool.keys:
            own = [lease for lease in out if lease.key is key]
            assert key.in_flight == len(own) == sum(lane.in_flight for lane in key.lanes.values())
            assert key.max_concurrent is None or key.in_flight <= key.max_concurrent
            for lane in key.lanes.values():
                assert 0 <= lane.unanswered <= lane.in_flight
                assert lane.pace.sent >= 0

    @invariant()
    def cooldowns_do_not_end_earlier(self) -> None:
        """Neither the cooldowns nor what follows from them for a model."""
        for key in self.pool.keys:
            ends = [(group, cooldown.until) for group, cooldown in key.cooldowns.items()]
            for name, until in [*ends, *((f"lane {model}", lane.until) for model, lane in key.lanes.items())]:
                assert until >= self.ends.get((key.id, name), 0.0)
                self.ends[key.id, name] = until
            for model, lane in key.lanes.items():
                assert lane.until >= max([until for group, until in ends if group in ("*", "*auth", model)], default=0.0)

    @invariant()
    def nobody_waits_while_a_key_is_free(self) -> None:
        """Nor for longer than the pool said."""
        waits = [ticket for ticket in self.tickets if ticket.waits and not ticket.kept]
        for ticket in waits:
            assert not self.open_keys(ticket.model)
        at = self.pool.next_event(self.now)
        opens = [lane.opens_at(self.now) for ticket in waits for key in self.pool.keys if (lane := key.lanes.get(ticket.model))]
        if opens and min(opens) < inf:
            assert at is not None and at <= min(opens)

    @invariant()
    def first_come_first_served(self) -> None:
        """Nobody is granted a key while one who came earlier for the same model waits."""
        for model in ("m", "n", "o"):
            line = [ticket for ticket in self.tickets if ticket.model == model and ticket.home is None and not ticket.kept]
            assert sorted(line, key=lambda ticket: ticket.waits) == line

    @invariant()
    def what_is_remembered_is_true(self) -> None:
        for model in ("m", "n", "o"):
            ends = [lane.until for key in self.pool.keys if (lane := key.lanes.get(model))]
            if len(ends) == len(self.pool.keys) > 0:
                assert self.pool.exhausted(self.now, model) == (min(ends) > self.now)
                assert self.pool.free_at(self.now, model) == max(self.now, min(ends))

    def open_keys(self, model: str) -> list[PooledKey]:
        """Those that a call to the model could use now."""
        lanes = [lane for key in self.pool.keys if (lane := key.lanes.get(model))]
        return [lane.key for lane in lanes if lane.opens_at(self.now) <= self.now]
