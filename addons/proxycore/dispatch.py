"""Hands hooks only to the add-ons that have them, and puts in place what else of mitmproxy we do quicker (`quick.py`).

mitmproxy walks its whole chain, some 45 add-ons of which few want any one hook, for each hook of a flow and again for `update`: two
fifths of its time (DESIGN §2.9). Here the owners of a hook are found once, and found again when anything has changed. That is looked at
before every hook, since mitmproxy lets scripts come and go, nested lists change, and an add-on get a hook while it runs; of the hooks
that one event of a connection sets off, at more than the chain itself only before the first.

The order, `AddonHalt`, what is logged of a handler that fails, and what a handler is (asked for anew each time) are mitmproxy's own
(12.2 `addonmanager.py`). Two things count from the next hook on, rather than within the one that is being handed out: what a handler
changes in a nested list that it stands in, and a hook that is given to a class rather than to an add-on (when the chain, or anything in
it, has changed).
"""

from __future__ import annotations

import inspect
import logging
import operator
from collections.abc import Awaitable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from mitmproxy import addonmanager, ctx, exceptions, flow, hooks
from mitmproxy.addonmanager import AddonManager, Loader, traverse

from addons.proxycore import quick
from addons.proxycore.handling import Turn, arguments_of
from addons.proxycore.idle import Idle, idle_rule, needed

OPTION = "turnpike_dispatch"

WALKED = frozenset({"load", "configure", "running", "done"})
"""Hooks in which the chain itself changes, so that mitmproxy's own walk hands them out: rare ones."""

RESTS_ON: Mapping[str, list[str]] = {
    "register": ["self", "addon"],
    "add": ["self", "addons"],
    "remove": ["self", "addon"],
    "clear": ["self"],
    "_iter_hooks": ["self", "addon", "event"],
    "invoke_addon": ["self", "addon", "event"],
    "invoke_addon_sync": ["self", "addon", "event"],
    "trigger_event": ["self", "event"],
    "trigger": ["self", "event"],
    "handle_lifecycle": ["self", "event"],
}
"""The methods of AddonManager that are replaced or called, or that this was written against, with their parameters."""

OURS = ("trigger_event", "trigger", "handle_lifecycle", "turnpike_begin")
"""The attributes of a manager that are ours."""

PLAIN_LOOKUP: tuple[Any, ...] = (object.__getattribute__, ModuleType.__getattribute__, type.__getattribute__)
_ABSENT = object()

logger = logging.getLogger(__name__)


class Group(NamedTuple):
    """An add-on of the chain with all below it: a handler that fails costs those after it in its group, and no other group.

    `owners`: those that have the hook, in order, each with what tells that it has nothing to do (`idle.py`; None: it is asked in any
    case); None where one of them has others below it, which it may change: then the group is walked.
    """

    top: Any
    owners: tuple[tuple[Any, Idle | None, str | None], ...] | None


class Table(dict[str, list[Group]]):
    """The owners of each hook, as the chain was when this was made; the entry of a hook is made when it is first wanted."""

    def __init__(self, chain: list[Any]) -> None:
        super().__init__()
        self._chain, self._tops = chain, list(chain)
        self._members = [list(traverse([top])) for top in chain]
        everyone = [addon for members in self._members for addon in members]
        self._asked = {id(addon) for addon in everyone if _is_asked(addon)}
        self._parents = {id(addon) for addon in everyone if hasattr(addon, "addons")}
        self._nested = [(addon, _below(addon)) for addon in everyone if id(addon) in self._parents | self._asked]
        self._attributes = [vars(addon) for addon in everyone if id(addon) not in self._asked]
        self._size = sum(map(len, self._attributes))
        self._same = operator.eq if _equal_themselves_only(everyone) else _same

    def __missing__(self, name: str) -> list[Group]:
        groups = [Group(top, self._owners(members, name)) for top, members in zip(self._tops, self._members, strict=True)]
        self[name] = found = [group for group in groups if group.owners != ()]
        return found

    def has(self, chain: list[Any]) -> bool:
        """Is the chain as it was?"""
        return chain is self._chain and self._same(chain, self._tops)

    def holds(self, chain: list[Any]) -> bool:
        """Is everything still as it was: the chain, the lists below it, and the number of attributes of each add-on?"""
        same = self._same
        if not self.has(chain) or sum(map(len, self._attributes)) != self._size:
            return False
        for addon, below in self._nested:  # no generator: this is done for every hook
            now = getattr(addon, "addons", ())
            if not same(now if type(now) is list else list(now), below):
                return False
        return True

    def _owners(self, members: list[Any], name: str) -> tuple[tuple[Any, Idle | None, str | None], ...] | None:
        owners = [a for a in members if id(a) in self._asked or inspect.getattr_static(a, name, _ABSENT) is not _ABSENT]
        if any(id(owner) in self._parents for owner in owners):
            return None
        return tuple((owner, idle_rule(owner, name), needed(owner, name)) for owner in owners)


class HookDispatch:
    """First in the list. `--set turnpike_dispatch=false` leaves mitmproxy's own dispatch in place."""

    def __init__(self) -> None:
        self._manager: AddonManager | None = None
        self._listener: _LogListener | None = None

    def load(self, loader: Loader) -> None:
        """Register our option."""
        loader.add_option(OPTION, bool, True, "Hand hooks only to the add-ons that have them, which is faster than mitmproxy's own walk.")

    def configure(self, updated: set[str]) -> None:
        """Put ours in place, or mitmproxy's own back."""
        if OPTION not in updated:
            return
        self.done()
        if ctx.options.turnpike_dispatch:
            if wrong := broken_pins():
                logger.warning("this mitmproxy's add-on manager is not the one of 12.2, its own dispatch stays: %s", "; ".join(wrong))
                return
            quick.install()
            self._manager = ctx.master.addons
            dispatch = Dispatch(self._manager)
            dispatch.install()
            self._listener = _LogListener(dispatch)
            ctx.master._legacy_log_events.addFilter(self._listener)

    def done(self) -> None:
        """mitmproxy's own dispatch: a script that is loaded again brings its own of ours."""
        if self._manager is not None and self._listener is not None:
            quick.uninstall()
            for name in OURS:
                vars(self._manager).pop(name, None)
            ctx.master._legacy_log_events.removeFilter(self._listener)
            self._manager = self._listener = None


class Dispatch:
    """Three methods of an AddonManager, by table."""

    def __init__(self, manager: AddonManager) -> None:
        self._manager = manager
        self._table = Table(manager.chain)
        self._looked_at: Turn | None = None

    def install(self) -> None:
        """In place of the manager's own, which stay those of its class."""
        manager: Any = self._manager
        manager.trigger_event, manager.trigger, manager.handle_lifecycle = self.trigger_event, self.trigger, self.handle_lifecycle
        manager.turnpike_begin = self.begin  # for `handling`

    def groups(self, name: str) -> list[Group]:
        """Who has this hook now."""
        chain, turn = self._manager.chain, Turn.current
        if not (self._table.has(chain) if turn is not None and turn is self._looked_at else self._table.holds(chain)):
            self._table = Table(chain)
        self._looked_at = turn
        return self._table[name]

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        """As mitmproxy's; `update` is not even made where nobody wants it."""
        if (rest := self.begin(event)) is not None:
            await rest

    async def trigger_event(self, event: hooks.Hook) -> None:
        """As mitmproxy's."""
        if event.name in WALKED:
            await AddonManager.trigger_event(self._manager, event)
        elif (rest := _begun(self._hand_out(event))) is not None:
            await rest

    def begin(self, event: hooks.Hook) -> Coroutine[Any, Any, None] | None:
        """`handle_lifecycle` up to where it has to wait: None when all is done, as with most hooks, else what remains of it."""
        if event.name in WALKED:
            return self._wait_and_update(event, AddonManager.trigger_event(self._manager, event))
        if (rest := _begun(self._hand_out(event))) is not None:
            return self._wait_and_update(event, rest)
        return self._begin_update(event)

    async def _wait_and_update(self, event: hooks.Hook, rest: Coroutine[Any, Any, None]) -> None:
        await rest
        if (update := self._begin_update(event)) is not None:
            await update

    def _begin_update(self, event: hooks.Hook) -> Coroutine[Any, Any, None] | None:
        if not self.groups("update"):
            return None
        subject = arguments_of(event)[0]
        return _begun(self._hand_out(hooks.UpdateHook([subject]))) if isinstance(subject, flow.Flow) else None

    def _hand_out(self, event: hooks.Hook) -> Generator[Awaitable[Any]]:
        """Calls the handlers in order; yields what has to be awaited before the next, whose error may be thrown in."""
        manager, name = self._manager, event.name
        chain, groups = manager.chain, self.groups(name)
        known = len(chain)
        arguments = arguments_of(event) if groups else ()
        for top, owners in groups:
            try:
                if owners is None:
                    yield manager.invoke_addon(top, event)
                    continue
                for owner, idle, needs in owners:
                    if (needs is not None and not getattr(owner, needs)) or (idle is not None and idle(owner, *arguments)):
                        continue
                    handler = getattr(owner, name, None)
                    if handler and _is_handler(handler, name, owner):
                        result = handler(*arguments)
                        if result is not None and inspect.isawaitable(result):
                            yield result
            except exceptions.AddonHalt:
                return
            except exceptions.OptionsError:
                raise
            except Exception as error:
                log_error(error)
        if len(chain) != known:
            yield from self._hand_to_added(chain, known, event)

    def _hand_to_added(self, chain: list[Any], known: int, event: hooks.Hook) -> Generator[Awaitable[Any]]:
        for late in _added(chain, known):
            try:
                with addonmanager.safecall():
                    yield self._manager.invoke_addon(late, event)
            except exceptions.AddonHalt:
                return

    def trigger(self, event: hooks.Hook) -> None:
        """As mitmproxy's."""
        manager, name = self._manager, event.name
        if name in WALKED:
            AddonManager.trigger(manager, event)
            return
        chain, groups = manager.chain, self.groups(name)
        known = len(chain)
        for top in (top for top, _ in groups):  # the walk of one group; what this spares is that of all others
            try:
                manager.invoke_addon_sync(top, event)
            except exceptions.AddonHalt:
                return
            except exceptions.OptionsError:
                raise
            except Exception as error:
                log_error(error)
        for late in _added(chain, known):
            try:
                with addonmanager.safecall():
                    manager.invoke_addon_sync(late, event)
            except exceptions.AddonHalt:
                return


def _begun(work: Generator[Awaitable[Any]]) -> Coroutine[Any, Any, None] | None:
    """Does the work up to the first thing that has to be awaited; None where there is no such thing."""
    for first in work:
        return _rest(work, first)
    return None


async def _rest(work: Generator[Awaitable[Any]], awaited: Awaitable[Any]) -> None:
    """Awaits what the work yields. What fails fails in it, where it was yielded."""
    try:
        while True:
            try:
                await awaited
            except BaseException as error:  # cancellation, too, is the work's to let through
                awaited = work.throw(error)
            else:
                awaited = next(work)
    except StopIteration:
        return


class _LogListener(logging.Filter):
    """mitmproxy formats every line once more, and schedules a hook, for the deprecated `add_log`; only where an add-on has it."""

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__()
        self._dispatch = dispatch

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(self._dispatch.groups("add_log"))


def log_error(error: Exception) -> None:
    """What mitmproxy's `safecall` logs, from the same logger; the traceback begins with the handler."""
    traceback = error.__traceback__
    while traceback and traceback.tb_next and traceback.tb_frame.f_code in OUR_FRAMES:
        traceback = traceback.tb_next
    for name in ("invoke_addon_sync", "invoke_addon"):
        traceback = addonmanager.cut_traceback(traceback, name)
    addonmanager.logger.error("Addon error: %s", error, exc_info=(type(error), error, traceback))


OUR_FRAMES = frozenset(method.__code__ for method in (Dispatch._hand_out, Dispatch.trigger, _rest))
"""What stands above a handler in a traceback, and says nothing of it."""


def broken_pins() -> list[str]:
    """What of mitmproxy's add-on manager is not as this module needs it; empty when all is well."""
    return [
        f"AddonManager.{name} takes {found}"
        for name, parameters in RESTS_ON.items()
        if (found := _parameters(getattr(AddonManager, name, None))) != parameters
    ]


def _parameters(method: Any) -> list[str] | None:
    return list(inspect.signature(method).parameters) if method else None


def _is_handler(handler: Any, name: str, owner: Any) -> bool:
    """A module that happens to bear a hook's name is left out; anything else that can't be called is the add-on's fault."""
    if callable(handler):
        return True
    if isinstance(handler, ModuleType):
        return False
    raise exceptions.AddonManagerError(f"Addon handler {name} ({owner}) not callable")


def _added(chain: list[Any], known: int) -> Iterator[Any]:
    """What handlers have added to the chain gets the hook that they were given."""
    while known < len(chain):
        yield chain[known]
        known += 1


def _is_asked(addon: Any) -> bool:
    """Can't be known beforehand what it has: it makes up its attributes, or holds them where they can't be counted."""
    kind = type(addon)
    makes_up = hasattr(kind, "__getattr__") or kind.__getattribute__ not in PLAIN_LOOKUP
    return makes_up or not hasattr(addon, "__dict__") or (isinstance(addon, ModuleType) and "__getattr__" in vars(addon))


def _below(addon: Any) -> list[Any]:
    below: Iterable[Any] = getattr(addon, "addons", ())
    return list(below)


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """The very same objects: add-ons may be equal."""
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _equal_themselves_only(addons: Iterable[Any]) -> bool:
    """Then `==` of lists of them, which looks at identity first and is several times quicker, does for `_same`."""
    plain: Any = object.__eq__
    return all(type(addon).__eq__ is plain for addon in addons)
