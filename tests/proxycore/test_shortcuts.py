"""Each short cut gives what mitmproxy's own gives."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import options
from mitmproxy.http import Headers
from mitmproxy.net import check
from mitmproxy.net.http import url
from mitmproxy.optmanager import OptManager, _Option
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.test import taddons, tflow, tutils

from addons.proxycore import shortcuts
from addons.proxycore.pins import Replacement, put_back, replace_all


def stock(owner: Any, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = Replacement(owner, name, None).stock
    return found


def outcome(work: Callable[..., Any], *arguments: Any) -> Any:
    """What it gives, or the kind of error that it raises."""
    try:
        return work(*arguments)
    except Exception as error:
        return type(error), str(error)


names = st.sampled_from([b"Host", b"host", b"X-Id", b"x-id", b"", "ä".encode(), b"\xff\xfe", b"Accept"])
values = st.binary(max_size=8)
keys = st.sampled_from(["host", "HOST", b"x-ID", "", "ä", "\udcff\udcfe", "absent", None, 3])


@given(st.lists(st.tuples(names, values), max_size=6), keys)
def test_headers(fields: list[tuple[bytes, bytes]], key: Any) -> None:
    """Any bytes, names in any case, several of one name, what is not there, keys that can be none."""
    headers = Headers(fields)
    assert outcome(shortcuts.get_all, headers, key) == outcome(stock(Headers, "get_all"), headers, key)
    assert outcome(shortcuts.get, headers, key) == outcome(stock(Headers, "get"), headers, key)
    assert outcome(shortcuts.get, headers, key, "instead") == outcome(stock(Headers, "get"), headers, key, "instead")
    assert outcome(shortcuts.contains, headers, key) == outcome(stock(Headers, "__contains__"), headers, key)


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ((), {}),
        ([[b"A", b"1"], (b"a", b"2")], {"content_type": "x", "ä": b"y"}),
        ([("text", b"")], {}),
        ([(b"a", None)], {}),
        ([(b"a", b"b")], {"a": "c"}),
        (3, {}),
    ],
)
def test_new_headers(fields: Any, more: dict[str, Any]) -> None:
    """Lists, iterators, names with underscores, and what can be no header."""

    def made(init: Callable[..., Any], fields: Any) -> Any:
        headers = Headers.__new__(Headers)
        init(headers, fields, **more)
        return headers.fields

    theirs, ours = (outcome(made, init, fields) for init in (stock(Headers, "__init__"), shortcuts.init_headers))
    assert ours == theirs


def test_a_hook_is_made_of_a_fit_class_only() -> None:
    """Twice, since the second time is remembered."""

    class Unfit(commands.StartHook):
        name = ""

    for cls, arguments in ((HttpRequestHook, (tflow.tflow(),)), (Unfit, ()), (commands.StartHook, ())):
        for _ in range(2):
            ours = outcome(shortcuts.new_hook, cls, *arguments)
            theirs = outcome(shortcuts._stock_new_hook, cls, *arguments)
            assert type(ours) is type(theirs)
            assert isinstance(ours, cls) or ours == theirs


def test_options() -> None:
    """Values, defaults and lists, which are copies; an option that is not there."""
    manager = options.Options()
    manager.add_option("some_list", Sequence[str], ["a"], "")
    manager.update(listen_host="::1", some_list=["b"])
    for name in ["listen_host", "listen_port", "mode", "some_list", "http2"]:
        assert shortcuts.option(manager, name) == stock(OptManager, "__getattr__")(manager, name)
        assert shortcuts.current(manager._options[name]) == stock(_Option, "current")(manager._options[name])
    shortcuts.option(manager, "some_list").append("c")
    assert shortcuts.option(manager, "some_list") == ["b"]
    assert outcome(shortcuts.option, manager, "none") == outcome(stock(OptManager, "__getattr__"), manager, "none")


hosts: list[Any] = ["a.example", b"a.example", "ä.example", b"\xff", "", "[::1]", "1.2.3.4", "a" * 64, "a.example:1", "a:b:c", "[::1]:443"]


@pytest.mark.parametrize("host", [*hosts, "a:0", "a:65536", b"[::1", "xn--x", b"xn--bcher-kva.example:80"])
def test_hosts_and_authorities(host: Any) -> None:
    """Twice, since the second time is remembered."""
    for _ in range(2):
        assert outcome(shortcuts.is_valid_host, host) == outcome(stock(check, "is_valid_host"), host)
        for strict in (True, False):
            assert outcome(shortcuts.parse_authority, host, strict) == outcome(stock(url, "parse_authority"), host, strict)


def test_a_fork_of_a_context_is_its_own() -> None:
    """The same client, options and server; layers of its own."""
    context = Context(tflow.tclient_conn(), options.Options())
    context.layers.append(layer.NextLayer(context))
    ours, theirs = shortcuts.fork(context), stock(Context, "fork")(context)
    assert vars(ours) == vars(theirs)
    assert type(ours) is Context
    ours.layers.clear()
    assert context.layers == theirs.layers


def test_ids_are_random_uuids() -> None:
    """Well-formed, of version 4, all different, also where they are fetched anew."""
    ids = shortcuts.Ids(at_once=3)
    given = [ids.uuid4() for _ in range(1000)]
    assert len(set(given)) == 1000
    for text in given:
        made = uuid.UUID(text)
        assert (str(made), made.version, made.variant) == (text, 4, uuid.RFC_4122)


def test_a_forked_process_gives_out_others() -> None:
    """Neither the child's nor the parent's come twice."""
    ids = shortcuts.Ids()
    ids.uuid4()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put([ids.uuid4() for _ in range(100)]))
    child.start()
    theirs = queue.get()
    child.join()
    assert not set(theirs) & {ids.uuid4() for _ in range(100)}


# Layers -----------------------------------------------------------------------------------------------------------------


class Told(commands.Command):
    """A command that nobody waits for."""

    def __init__(self, text: str) -> None:
        self.text = text


class Asked(commands.OpenConnection):
    """One whose reply is waited for."""


class Echo(layer.Layer):
    """Tells what it gets; of some events it asks first."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        name = type(event).__name__ if not isinstance(event, events.DataReceived) else event.data.decode()
        yield Told(f"{name}?")
        if name.startswith("ask"):
            reply = yield Asked(self.context.server)
            yield Told(f"{name}: {reply}")
        if name == "fail":
            raise ValueError(name)


@pytest.fixture(params=["mitmproxy's", "ours"])
def group(request: pytest.FixtureRequest) -> Iterator[None]:
    layers = [shortcuts.REPLACED[-1]]
    if request.param == "ours":
        assert replace_all(layers) == []
    yield
    put_back(layers)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("debug", [None, "  "])
def test_a_layer_that_waits_keeps_what_comes_meanwhile(debug: str | None) -> None:
    """And goes on with it when it has its reply, until it waits again; an answer to something else is not its reply."""
    with taddons.context(loadcore=False) as context:
        echo = Echo(Context(tflow.tclient_conn(), context.options))
    echo.debug = debug
    client = echo.context.client

    def handle(event: events.Event) -> list[commands.Command]:
        return [command for command in echo.handle_event(event) if not isinstance(command, commands.Log)]

    def told(found: list[commands.Command]) -> list[str]:
        return [command.text if isinstance(command, Told) else "asked" for command in found]

    assert told(handle(events.Start())) == ["Start?"]
    first = handle(events.DataReceived(client, b"ask 1"))
    assert told(first) == ["ask 1?", "asked"]
    assert first[-1].blocking is echo
    assert handle(events.DataReceived(client, b"b")) == handle(events.DataReceived(client, b"ask 2")) == []
    other = Asked(echo.context.server)
    assert handle(events.OpenConnectionCompleted(other, "not its own")) == []
    assert isinstance(first[-1], Asked)
    second = handle(events.OpenConnectionCompleted(first[-1], "reply"))
    assert told(second) == ["ask 1: reply", "b?", "ask 2?", "asked"]
    assert isinstance(second[-1], Asked)
    assert told(handle(events.OpenConnectionCompleted(second[-1], None))) == ["ask 2: None", "OpenConnectionCompleted?"]
    with pytest.raises(ValueError, match="fail"):
        handle(events.DataReceived(client, b"fail"))
    assert told(handle(events.DataReceived(client, b"c"))) == ["c?"]


@pytest.mark.skipif(not __debug__, reason="with -O mitmproxy checks nothing")
@pytest.mark.parametrize(
    ("name", "value"),
    [("host", b"h"), ("port", "1"), ("port", True), ("content", "text"), ("content", None), ("headers", None), ("path", 3)],
)
def test_types_of_a_message(name: str, value: Any) -> None:
    """What mitmproxy takes is taken, and what it refuses is refused in its words."""
    data = tutils.treq().data
    assert outcome(shortcuts.check_types, data) == outcome(shortcuts._stock_check_types, data) is None
    assert outcome(shortcuts.check_types, tutils.tresp().data) is None
    setattr(data, name, value)
    assert outcome(shortcuts.check_types, data) == outcome(shortcuts._stock_check_types, data)
