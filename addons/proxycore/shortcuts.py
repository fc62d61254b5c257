"""Small things of mitmproxy that every call does some dozen times, done with less: each gives what the stock one gives.

- a header is looked for in a table of them, made once, without a `KeyError` where it is not and without asking a chain of base classes;
- an option's value is not deep-copied where it is one that can't change;
- a host that was found valid, or an authority that was parsed, is not looked at again;
- a context is not given a server, with an id of its own, that is thrown away at once;
- ids (`uuid4`) come of randomness that is fetched for some hundred at a time: each would be a system call;
- a class of hooks that was found fit is not looked at again for each hook;
- a layer's events go through one generator less, and no `send` for each command.

Read in mitmproxy 12.2; `REPLACED` pins it.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import lru_cache
from typing import Any
from weakref import WeakSet

from mitmproxy import connection, flow, hooks, http
from mitmproxy.coretypes import multidict
from mitmproxy.net import check
from mitmproxy.net.http import url
from mitmproxy.optmanager import OptManager, _Option, unset
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer, Paused
from mitmproxy.utils import strutils

from addons.proxycore.pins import Replacement

REMEMBERED = 1024
"""Names, hosts and authorities; a client chooses what it sends, so there is a limit."""

# Headers ----------------------------------------------------------------------------------------------------------------


def init_headers(self: http.Headers, fields: Iterable[tuple[bytes, bytes]] = (), **headers: Any) -> None:
    """`Headers.__init__`. Raises TypeError."""
    self.fields = tuple([tuple(field) for field in fields])  # type: ignore[misc]
    for key, value in self.fields:
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            raise TypeError("Header fields must be bytes.")
    if headers:
        self.update({_bytes(name).replace(b"_", b"-"): _bytes(value) for name, value in headers.items()})


def get_all(self: http.Headers, name: str | bytes) -> list[str]:
    """`Headers.get_all`."""
    sought = _key(name)
    return [value.decode("utf-8", "surrogateescape") for key, value in self.fields if key.lower() == sought]


def get(self: http.Headers, key: str | bytes, default: Any = None) -> Any:
    """`Mapping.get`."""
    value = folded(self).get(_key(key))
    return default if value is None else value.decode("utf-8", "surrogateescape")


def contains(self: http.Headers, key: object) -> bool:
    """`Mapping.__contains__`."""
    return _key(key) in folded(self)


_FOLDED = "turnpike_folded"
"""The attribute of headers where what was found in them is, and in which fields: another name or value makes other fields."""


def folded(headers: http.Headers) -> Mapping[bytes, bytes]:
    """The values by names in lower case, those of one name joined by commas."""
    known, fields = vars(headers), headers.fields
    if (memo := known.get(_FOLDED)) is not None and memo[0] is fields:
        return memo[1]  # type: ignore[no-any-return]
    found = {name.lower(): value for name, value in fields}
    if len(found) != len(fields):
        found = _join(fields)
    if type(fields) is tuple:
        known[_FOLDED] = fields, found
    return found


def _join(fields: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    return {name: b", ".join(several) for name, several in values.items()}


def _bytes(text: str | bytes) -> bytes:
    return strutils.always_bytes(text, "utf-8", "surrogateescape")


@lru_cache(REMEMBERED)
def _key(name: str | bytes) -> bytes:
    return _bytes(name).lower()


# Options ----------------------------------------------------------------------------------------------------------------

UNCHANGING = frozenset({str, int, bool, float, type(None)})


def current(self: _Option) -> Any:
    """`_Option.current`."""
    value = self._default if self.value is unset else self.value
    return value if type(value) in UNCHANGING else copy.deepcopy(value)


def option(self: OptManager, attr: str) -> Any:
    """`OptManager.__getattr__`."""
    found = self._options.get(attr)
    if found is None:
        raise AttributeError(f"No such option: {attr}")
    return current(found)


# Messages ---------------------------------------------------------------------------------------------------------------

TYPES = {
    "http_version": bytes,
    "headers": http.Headers,
    "content": bytes,
    "trailers": http.Headers,
    "timestamp_start": float,
    "timestamp_end": float,
    "host": str,
    "port": int,
    "method": bytes,
    "scheme": bytes,
    "authority": bytes,
    "path": bytes,
    "status_code": int,
    "reason": bytes,
}
NULLABLE = frozenset({"content", "trailers", "timestamp_end"})


def check_types(self: http.MessageData) -> None:
    """`MessageData.__post_init__`, which is there without `-O` only: what is of the very types needs no closer look."""
    for name, value in vars(self).items():
        if type(value) is not TYPES.get(name) and not (value is None and name in NULLABLE):
            _stock_check_types(self)
            return


# Contexts and ids -------------------------------------------------------------------------------------------------------


def fork(self: Context) -> Context:
    """`Context.fork`."""
    forked = Context.__new__(Context)
    forked.client, forked.options, forked.server, forked.layers = self.client, self.options, self.server, self.layers.copy()
    return forked


ID_BYTES = 16


class Ids:
    """Stands for the module `uuid` where mitmproxy makes the ids of connections and flows. Not for secrets."""

    def __init__(self, at_once: int = 256) -> None:
        self._bytes = ID_BYTES * at_once
        self._source, self._at = b"", 0
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """A process that was forked off would give out what its parent gives out."""
        self._source, self._at = b"", 0

    def uuid4(self) -> str:
        """A random UUID, written as `str(uuid.uuid4())` writes it."""
        at = self._at
        if at >= len(self._source):
            self._source, at = os.urandom(self._bytes), 0
        self._at = at + ID_BYTES
        number = int.from_bytes(self._source[at : at + ID_BYTES])
        digits = f"{number & VARIANT_MASK | VARIANT_AND_VERSION:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


VARIANT_MASK = ~(0xC000 << 48 | 0xF000 << 64)
VARIANT_AND_VERSION = 0x8000 << 48 | 4 << 76
"""RFC 9562: what a random UUID has in its fixed bits."""


# Hooks and replies ------------------------------------------------------------------------------------------------------


def new_hook(cls: type[commands.StartHook], *_: Any, **__: Any) -> commands.StartHook:
    """`StartHook.__new__` and `Hook.__new__`, which make sure each time that the class is a dataclass. Raises TypeError."""
    if cls not in _fit_classes:
        _stock_new_hook(cls)
        _fit_classes.add(cls)
    made: commands.StartHook = object.__new__(cls)
    return made


_fit_classes: WeakSet[type] = WeakSet()


# Layers -----------------------------------------------------------------------------------------------------------------


def handle_event(self: Layer, event: events.Event) -> Generator[commands.Command, Any, Any]:
    """`Layer.handle_event`."""
    if self.debug is not None:
        yield from _stock_handle_event(self, event)
    elif (paused := self._paused) is None:
        work = self._handle_event(event)
        for command in work:
            if command.blocking is True:
                command.blocking = self
                self._paused = Paused(command, work)
                yield command
                return
            yield command
    elif isinstance(event, events.CommandCompleted) and event.command is paused.command:
        yield from self._Layer__continue(event)  # type: ignore[attr-defined]
    else:
        self._paused_event_queue.append(event)


_hook = Replacement(commands.StartHook, "__new__", "722d742f24074dc2", staticmethod(new_hook))
_stock_new_hook: Any = _hook.stock.__func__

_layer = Replacement(Layer, "handle_event", "fd88b0fb09ceddbb", handle_event)
_stock_handle_event: Callable[[Layer, events.Event], Generator[commands.Command, Any, Any]] = _layer.stock

_message = Replacement(http.MessageData, "__post_init__", "f65088e210cd9cc1", check_types)
_stock_check_types: Any = _message.stock if __debug__ else None

_is_valid_host: Any = lru_cache(REMEMBERED)(Replacement(check, "is_valid_host", "76efad3bee98e9b5").stock)
_parse_authority: Any = lru_cache(REMEMBERED)(Replacement(url, "parse_authority", "d8338265c05d8491").stock)


def is_valid_host(host: Any) -> bool:
    """`check.is_valid_host`."""
    return bool(_is_valid_host(host))


def parse_authority(authority: Any, check: bool) -> tuple[str, int | None]:
    """`url.parse_authority`. Raises ValueError."""
    found: tuple[str, int | None] = _parse_authority(authority, check)
    return found


_ids = Ids()

REPLACED = (
    (_hook, Replacement(hooks.Hook, "__new__", "b06952a61b01b58e")),
    (
        Replacement(http.Headers, "__init__", "4d53696a5f9f6670", init_headers),
        Replacement(multidict.MultiDict, "__init__", "faf0668e22579e8b"),
        Replacement(http.Headers, "get_all", "367b3317bc2ba45c", get_all),
        Replacement(http.Headers, "get", None, get),
        Replacement(http.Headers, "__contains__", None, contains),
        Replacement(http.Headers, "_kconv", "dd59639eb7c46701"),
        Replacement(http.Headers, "_reduce_values", "d808a4075a1f266d"),
        Replacement(multidict._MultiDict, "get_all", "5bff03c1afa25bb7"),
        Replacement(multidict._MultiDict, "__getitem__", "482e7414c932e3e8"),
        Replacement(http, "_native", "0ba4541fc6fa15ce"),
        Replacement(http, "_always_bytes", "1f256dc3d66394a0"),
    ),
    (
        Replacement(_Option, "current", "6859c2d9c826806e", current),
        Replacement(_Option, "default", "cfc9882b8960757d"),
        Replacement(OptManager, "__getattr__", "a9d5792099cd82ef", option),
    ),
    (_message,) if __debug__ else (),
    (Replacement(Context, "fork", "cad9374a0689f10a", fork), Replacement(Context, "__init__", "7ee4176662abb9c7")),
    (
        Replacement(check, "is_valid_host", "76efad3bee98e9b5", is_valid_host),
        Replacement(url, "is_valid_host", "76efad3bee98e9b5", is_valid_host),
        Replacement(url, "parse_authority", "d8338265c05d8491", parse_authority),
    ),
    (
        Replacement(connection, "uuid", None, _ids),
        Replacement(flow, "uuid", None, _ids),
        Replacement(flow.Flow, "__init__", "7c7b602cfb75bf18"),
    ),
    (_layer, Replacement(Layer, "_Layer__continue", "1b275367b37bed01"), Replacement(Layer, "_Layer__process", "37153ddd561f2019")),
)
