"""Dispatch by table does what mitmproxy's own does: every test but the last ones runs against both."""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import exceptions, hooks
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.script import ScriptLoader
from mitmproxy.log import AddLogHook, LogEntry
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook, HttpResponseHook
from mitmproxy.test import taddons, tflow

from addons.proxycore.dispatch import RESTS_ON, Dispatch, HookDispatch, broken_pins
from addons.proxycore.handling import Turn

Handler = Callable[..., Any]


class Note:
    """An add-on that notes its hooks as `name.hook`. `acts`: what it does, by hook, after that."""

    def __init__(self, seen: list[str], name: str, *hook_names: str, **acts: Handler) -> None:
        self.name = name
        self._seen = seen
        for hook in (*hook_names, *acts):
            setattr(self, hook, self.noting(hook, acts.get(hook)))

    def noting(self, hook: str, act: Handler | None = None) -> Handler:
        def handler(*arguments: Any) -> Any:
            self._seen.append(f"{self.name}.{hook}")
            return act(*arguments) if act else None

        return handler


def failing(error: Exception) -> Handler:
    def act(*_: Any) -> None:
        raise error

    return act


class Chain:
    """A manager, and what its add-ons have noted."""

    def __init__(self, manager: AddonManager) -> None:
        self.manager = manager
        self.seen: list[str] = []

    def note(self, name: str, *hook_names: str, **acts: Handler) -> Note:
        return Note(self.seen, name, *hook_names, **acts)

    def nested(self, name: str, *below: Any) -> Note:
        parent = self.note(name)
        parent.addons = list(below)  # type: ignore[attr-defined]
        return parent

    async def request(self) -> list[str]:
        """What is noted of a request that goes through the proxy, `update` included."""
        self.seen.clear()
        await self.manager.handle_lifecycle(HttpRequestHook(tflow.tflow()))
        return list(self.seen)


@pytest.fixture(params=["mitmproxy's", "ours"])
async def chain(request: pytest.FixtureRequest) -> AsyncIterator[Chain]:
    with taddons.context(loadcore=False) as context:
        if request.param == "ours":
            Dispatch(context.master.addons).install()
        yield Chain(context.master.addons)


async def test_the_order_is_that_of_the_chain_and_children_follow_their_parent(chain: Chain) -> None:
    """Depth first; `update` comes when all are done."""
    inner = chain.nested("inner", chain.note("c", "request"))
    parent = chain.nested("parent", chain.note("b", "request", "update"), inner)
    parent.request = parent.noting("request")  # type: ignore[attr-defined]
    chain.manager.add(chain.note("a", "request", "response"), parent, chain.note("d", "request", "update"))
    assert await chain.request() == ["a.request", "parent.request", "b.request", "c.request", "d.request", "b.update", "d.update"]


async def test_awaitables_are_awaited_in_order(chain: Chain) -> None:
    """An async handler, and one that gives back a future, hold those that follow."""
    done = asyncio.get_running_loop().create_future()

    async def slowly(_: Any) -> None:
        await asyncio.sleep(0)
        chain.seen.append("slept")
        asyncio.get_running_loop().call_soon(done.set_result, None)

    chain.manager.add(chain.note("a", request=slowly), chain.note("b", request=lambda _: done), chain.note("c", "request"))
    assert await chain.request() == ["a.request", "slept", "b.request", "c.request"]
    assert done.done()


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_error_costs_the_rest_of_its_group_only(chain: Chain, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged in mitmproxy's words, with a traceback that begins in the handler; the next of the chain is asked, `update` too."""

    async def later(*_: Any) -> None:
        await asyncio.sleep(0)
        raise ValueError("50 % broken")

    group = chain.nested(
        "p", chain.note("a", request=later if is_async else failing(ValueError("50 % broken"))), chain.note("b", "request")
    )
    chain.manager.add(group, chain.note("c", "request", "update"))
    assert await chain.request() == ["a.request", "c.request", "c.update"]
    [record] = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("mitmproxy.addonmanager", logging.ERROR, "Addon error: 50 % broken")
    frames = _frames(record)
    assert frames[0] == ("later" if is_async else "handler")


async def test_a_cancelled_hook_is_cancelled(chain: Chain) -> None:
    """That is no error of the add-on's: it reaches who waits."""

    async def cancelled(_: Any) -> None:
        raise asyncio.CancelledError

    chain.manager.add(chain.note("a", request=cancelled), chain.note("b", "request"))
    with pytest.raises(asyncio.CancelledError):
        await chain.request()
    assert chain.seen == ["a.request"]


async def test_a_halt_ends_the_hook_and_not_its_update(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody after it is asked, in its group or in the chain; nothing is logged."""
    group = chain.nested("p", chain.note("a", request=failing(exceptions.AddonHalt())), chain.note("b", "request"))
    chain.manager.add(group, chain.note("c", "request", "update"))
    assert await chain.request() == ["a.request", "c.update"]
    assert not caplog.records


async def test_an_options_error_reaches_the_caller(chain: Chain) -> None:
    """As mitmproxy has it, both ways of triggering."""
    chain.manager.add(chain.note("a", request=failing(exceptions.OptionsError("no"))), chain.note("b", "request"))
    with pytest.raises(exceptions.OptionsError):
        await chain.request()
    with pytest.raises(exceptions.OptionsError):
        chain.manager.trigger(HttpRequestHook(tflow.tflow()))


async def test_what_is_added_removed_or_cleared_counts_at_once(chain: Chain) -> None:
    """`add`, `register` with a list of one's own, `remove`, `clear`."""
    a, b, c = (chain.note(name, "request") for name in "abc")
    parent = chain.nested("p")
    chain.manager.add(a, parent)
    assert await chain.request() == ["a.request"]
    chain.manager.add(b)
    assert await chain.request() == ["a.request", "b.request"]
    parent.addons.append(chain.manager.register(c))  # type: ignore[attr-defined]
    assert await chain.request() == ["a.request", "c.request", "b.request"]
    chain.manager.remove(b)
    assert await chain.request() == ["a.request", "c.request"]
    parent.addons = []  # type: ignore[attr-defined]
    assert await chain.request() == ["a.request"]
    chain.manager.clear()
    assert await chain.request() == []


async def test_the_chain_changes_in_the_middle_of_a_hook(chain: Chain) -> None:
    """What a handler adds is asked within the same hook; what it removes is asked for the last time."""
    last = chain.note("last", "request")

    def change(_: Any) -> None:
        if last in chain.manager:
            chain.manager.add(chain.note("added", "request"))
            chain.manager.remove(last)

    chain.manager.add(chain.note("a", request=change), last)
    assert await chain.request() == ["a.request", "last.request", "added.request"]
    assert await chain.request() == ["a.request", "added.request"]


async def test_an_addition_may_fail_or_halt_too(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    """In the hook in which it was added."""

    def add(_: Any) -> None:
        if "bad" not in chain.manager.lookup:
            bad, halting = chain.note("bad", request=failing(KeyError("x"))), chain.note("halting", request=failing(exceptions.AddonHalt()))
            chain.manager.add(bad, halting, chain.note("never", "request"))

    chain.manager.add(chain.note("a", request=add))
    assert await chain.request() == ["a.request", "bad.request", "halting.request"]
    assert [record.getMessage() for record in caplog.records] == ["Addon error: 'x'"]


async def test_hooks_may_come_go_and_change(chain: Chain) -> None:
    """Attributes of an add-on, of a module, and of a class whose add-ons make them up."""

    class Made:
        name = "made"
        has: Handler | None = None

        def __getattr__(self, name: str) -> Any:
            if name == "request" and self.has:
                return self.has
            raise AttributeError(name)

    class Slotted:
        __slots__ = ("request",)
        name = "slotted"

        def __init__(self) -> None:
            self.request: Handler | None = None

    a, module, made, slotted = chain.note("a"), types.ModuleType("m"), Made(), Slotted()
    chain.manager.add(a, module, made, slotted)
    assert await chain.request() == []
    a.request = a.noting("request")  # type: ignore[attr-defined]
    module.request = chain.note("module").noting("request")  # type: ignore[attr-defined]
    made.has = chain.note("made").noting("request")
    slotted.request = chain.note("slotted").noting("request")
    assert await chain.request() == ["a.request", "module.request", "made.request", "slotted.request"]
    a.request = None  # type: ignore[attr-defined]
    slotted.request = None
    del module.request
    made.has = chain.note("other").noting("request")
    assert await chain.request() == ["other.request"]


async def test_what_is_no_handler(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    """A module that bears a hook's name is passed over; anything else costs its group and is logged."""
    odd = chain.note("odd")
    odd.request = logging  # type: ignore[attr-defined]
    odd.response = "text"  # type: ignore[attr-defined]
    chain.manager.add(chain.nested("p", odd, chain.note("b", "request", "response")))
    assert await chain.request() == ["b.request"]
    assert not caplog.records
    await chain.manager.trigger_event(HttpResponseHook(tflow.tflow()))
    assert chain.seen == ["b.request"]
    assert caplog.records[0].getMessage().startswith("Addon error: Addon handler response (")
    assert caplog.records[0].getMessage().endswith(" not callable")


async def test_the_synchronous_way(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    """The same order, errors and halts; an async handler is an error, since nobody could wait for it."""

    async def coroutine(_: Any) -> None:
        raise AssertionError("not to be called")

    waiting = chain.note("waiting")
    waiting.request = coroutine  # type: ignore[attr-defined]
    group = chain.nested("p", chain.note("a", request=failing(ValueError("broken"))), chain.note("b", "request"))
    halting = chain.note("halting", request=failing(exceptions.AddonHalt()))
    chain.manager.add(chain.note("0"), group, waiting, chain.note("c", "request"), halting, chain.note("never", "request"))
    chain.manager.trigger(HttpRequestHook(tflow.tflow()))
    assert chain.seen == ["a.request", "c.request", "halting.request"]
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "Addon error: broken",
        "Addon error: Async handler request",
    ]
    assert _frames(caplog.records[0])[0] == "handler"


async def test_additions_of_the_synchronous_way(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    """As of the other."""

    def add(_: Any) -> None:
        bad, halting = chain.note("bad", request=failing(KeyError("x"))), chain.note("halting", request=failing(exceptions.AddonHalt()))
        chain.manager.add(bad, halting, chain.note("never", "request"))

    chain.manager.add(chain.note("a", request=add))
    chain.manager.trigger(HttpRequestHook(tflow.tflow()))
    assert chain.seen == ["a.request", "bad.request", "halting.request"]
    assert [record.getMessage() for record in caplog.records] == ["Addon error: 'x'"]


async def test_what_is_no_flow_has_no_update(chain: Chain) -> None:
    """A log line, for one."""
    chain.manager.add(chain.note("a", "add_log", "update"))
    await chain.manager.handle_lifecycle(AddLogHook(LogEntry("text", "info")))
    assert chain.seen == ["a.add_log"]


async def test_the_rare_hooks_see_the_chain_change_under_them(chain: Chain) -> None:
    """What `configure` puts into a nested list is configured in the same round: so scripts are loaded."""
    parent, child = chain.nested("p"), chain.note("child", "configure", "running", "done")

    def configure(_: Any) -> None:
        parent.addons = [child]  # type: ignore[attr-defined]

    parent.configure = parent.noting("configure", configure)  # type: ignore[attr-defined]
    chain.manager.add(parent)
    chain.manager.trigger(hooks.ConfigureHook({"x"}))
    await chain.manager.trigger_event(hooks.RunningHook())
    assert chain.seen == ["p.configure", "child.configure", "child.running"]


SCRIPT = """
from mitmproxy import ctx

def request(flow):
    ctx.seen.append({0!r})

class Inner:
    def request(self, flow):
        ctx.seen.append({0!r} + ".inner")

addons = [Inner()]
"""


async def test_a_script_that_is_loaded_again_counts(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By mitmproxy's own Script, with hooks of its own and add-ons below; gone when the option no longer names it."""
    monkeypatch.setattr("mitmproxy.ctx.seen", chain.seen, raising=False)
    file = tmp_path / "script.py"
    file.write_text(SCRIPT.format("first"))
    loader = ScriptLoader()
    chain.manager.add(loader, chain.note("z", "request"))
    chain.manager.master.options.update(scripts=[str(file)])
    [script] = loader.addons
    script.reloadtask.cancel()  # it looks at the file once a second
    script.loadscript()
    assert await chain.request() == ["first", "first.inner", "z.request"]
    file.write_text(SCRIPT.format("other"))  # of the same length: a cached one would be taken
    script.loadscript()
    assert await chain.request() == ["other", "other.inner", "z.request"]
    chain.manager.master.options.update(scripts=[])
    assert await chain.request() == ["z.request"]


async def test_a_hook_of_an_equal_addon_is_its_own(chain: Chain) -> None:
    """Add-ons may compare equal: which of them is in the list is told by identity."""

    class Equal(Note):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    one, two = Equal(chain.seen, "one", "request"), Equal(chain.seen, "two", "request")
    parent = chain.nested("p", one)
    chain.manager.add(parent)
    assert await chain.request() == ["one.request"]
    parent.addons[0] = two  # type: ignore[attr-defined]
    assert await chain.request() == ["two.request"]


# Ours alone -------------------------------------------------------------------------------------------------------------


async def test_no_update_is_made_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the walk through the chain is not made at all where nobody has the hook."""
    with taddons.context(loadcore=False) as context:
        chain = Chain(context.master.addons)
        Dispatch(chain.manager).install()
        chain.manager.add(*(chain.note(f"n{number}") for number in range(3)), chain.note("a", "request"))
        monkeypatch.setattr(hooks, "UpdateHook", failing(AssertionError("made")))
        assert await chain.request() == ["a.request"]


async def test_a_change_of_the_chain_counts_within_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one event sets off is many hooks: an add-on that has gone is not asked again, one that has come is."""
    with taddons.context(loadcore=False) as context:
        chain = Chain(context.master.addons)
        Dispatch(chain.manager).install()
        gone, late = chain.note("gone", "request"), chain.note("late", "request")
        chain.manager.add(gone)
        monkeypatch.setattr(Turn, "current", Turn())
        assert await chain.request() == ["gone.request"]
        chain.manager.remove(gone)
        chain.manager.add(late)
        assert await chain.request() == ["late.request"]


async def test_the_option_puts_it_in_place_and_takes_it_away() -> None:
    """`turnpike_dispatch`, on by default; when the add-on is done mitmproxy's own is back."""
    with taddons.context(loadcore=False) as context:
        manager, methods = context.master.addons, ("trigger_event", "trigger", "handle_lifecycle")
        ours = HookDispatch()
        manager.add(ours)
        context.configure(ours, turnpike_dispatch=True)
        assert all(method in vars(manager) for method in methods)
        context.configure(ours, turnpike_dispatch=False)
        assert not any(method in vars(manager) for method in methods)
        context.configure(ours, turnpike_dispatch=True)
        manager.remove(ours)
        assert not any(method in vars(manager) for method in methods)
        ours.done()  # once more does nothing


async def test_lines_are_not_formatted_for_a_hook_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """mitmproxy makes an `add_log` hook of every line; with an add-on that has it, it still does."""
    with taddons.context(loadcore=False) as context:
        chain = Chain(context.master.addons)
        ours = HookDispatch()
        chain.manager.add(ours)
        context.configure(ours, turnpike_dispatch=True)
        emitted: list[str] = []
        monkeypatch.setattr(context.master._legacy_log_events, "emit", lambda record: emitted.append(record.getMessage()))
        logging.getLogger("some").error("one")
        assert emitted == []
        chain.manager.add(chain.note("a", "add_log"))
        logging.getLogger("some").error("two")
        assert emitted == ["two"]
        chain.manager.remove(ours)


async def test_another_mitmproxy_keeps_its_own(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where its manager is not the one that was read, a line says so and nothing is replaced: it works, only slower."""
    with taddons.context(loadcore=False) as context:
        ours = HookDispatch()
        context.master.addons.add(ours)
        monkeypatch.setattr(AddonManager, "trigger", lambda self: None)
        ours.configure({"turnpike_dispatch"})
        assert "trigger_event" not in vars(context.master.addons)
        assert "AddonManager.trigger takes ['self']" in caplog.text


def test_the_internals_are_those_that_were_read() -> None:
    """This mitmproxy has the methods that are replaced."""
    assert broken_pins() == []


@pytest.mark.parametrize("name", RESTS_ON)
def test_each_pin_holds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that is gone, or takes something else, is named."""
    monkeypatch.setattr(AddonManager, name, lambda self, other, third: None)
    assert [line for line in broken_pins() if line.startswith(f"AddonManager.{name} ")]


def _frames(record: logging.LogRecord) -> list[str]:
    assert record.exc_info
    traceback, names = record.exc_info[2], []
    while traceback:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    return names
