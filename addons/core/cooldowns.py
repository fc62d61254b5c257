"""How long a key stays out of use after a refusal (DESIGN §5): never shorter for being told again, longer each time where nothing is named.

A key cools for a model, for a quota group that several models share, or as a whole; each of these is a `Cooldown` of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STEPS_S = (10.0, 30.0, 60.0, 120.0)
"""Without a hint; the next one each time until a success."""

LOCK_STEPS_S = (*(300.0 * 2**n for n in range(9)), 86_400.0)
"""A key that was refused itself: 5 minutes, then doubled; at most a day, since somebody may have made it valid again."""

LONGEST_S = 31 * 86_400.0
"""Providers' quotas are counted by the month at most; more than that is a mistake in the answer."""

WHOLE_KEY, LOCKED = "*", "*auth"
"""Groups that hold for every model. Names of models and of providers' quotas have no asterisk."""


@dataclass(slots=True)
class Cooldown:
    """Until when (Unix seconds), and why. `step` counts how often in a row it was set without a hint; `set_at` is the number of the
    event of its key by which it was last set."""

    until: float = 0.0
    step: int = 0
    why: str = ""
    set_at: int = 0

    def extend(self, now: float, seconds: float | None, *, why: str, fresh: bool, steps: Sequence[float] = STEPS_S) -> None:
        """Set it for `seconds`, or where none are named (None, below zero, not a number) for the next of `steps`.

        `fresh`: the refused call was sent after this was last set. If not, it belongs to the burst that set it: no step further.
        """
        if seconds is None or not seconds >= 0:
            self.step = min(self.step + fresh, len(steps))
            seconds = steps[max(self.step, 1) - 1]
        self.reach(now, now + seconds, why)

    def reach(self, now: float, until: float, why: str) -> None:
        """It lasts until that time, or longer if it does already."""
        if until > self.until:
            self.until, self.why = min(until, now + LONGEST_S), why


class QuotaGroups:
    """Which models count towards a quota group, as far as refusals have shown it; a group may bear a model's name."""

    def __init__(self) -> None:
        self._models: dict[str, set[str]] = {}

    def learn(self, group: str, model: str) -> bool:
        """That a call to the model was refused for the group; is that new?"""
        if group in (WHOLE_KEY, LOCKED, model) or model in self._models.get(group, ()):
            return False
        self._models.setdefault(group, set()).add(model)
        return True

    def models(self, group: str) -> list[str]:
        """Those that a cooldown of the group concerns."""
        return [group, *self._models.get(group, ())]

    def groups(self, model: str) -> list[str]:
        """Those whose cooldowns concern the model."""
        return [WHOLE_KEY, LOCKED, model, *(group for group, models in self._models.items() if model in models)]

    def forget(self, model: str) -> None:
        """Until it is learned again."""
        self._models = {group: rest for group, models in self._models.items() if (rest := models - {model})}

    def copy(self) -> QuotaGroups:
        copy = QuotaGroups()
        copy._models = {group: set(models) for group, models in self._models.items()}
        return copy
