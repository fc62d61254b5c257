"""addons/views/guard.py: which requests reach the captures."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import MutableMapping
from typing import Any

import pytest

from addons.views.guard import Guard, Receive, Scope, Send


async def captures(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers everything."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": b"prompts"})


async def answer(
    guard: Guard, *headers: tuple[bytes, bytes], server: tuple[str, int] | None = ("127.0.0.1", 8001)
) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of what `guard` answers to a GET with these headers."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("a GET has no body")

    await guard({"type": "http", "path": "/", "headers": list(headers), "server": server}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("host", [b"127.0.0.1:8001", b"localhost:8001", b"LOCALHOST", b"[::1]:8001", b"127.9.9.9", b"box.lan:8001"])
async def test_own_names_are_answered(host: bytes) -> None:
    """Loopback in any spelling, and the name given with --host."""
    assert (await answer(Guard(captures, ["box.lan"]), (b"host", host)))[0] == 200


@pytest.mark.parametrize(
    "host",
    [b"evil.example:8001", b"localhost.evil.example", b"127.0.0.1.evil.example", b"evil.example#127.0.0.1", b"192.168.1.7", b"", b"\xff"],
)
async def test_foreign_names_are_refused(host: bytes) -> None:
    """A name that a page made to point here (DNS rebinding) is answered 403, whatever it looks like."""
    assert (await answer(Guard(captures, ["127.0.0.1"]), (b"host", host)))[0] == 403


async def test_no_host_and_two_hosts_are_refused() -> None:
    """A browser always sends one Host; a second one might be the one that somebody else reads."""
    guard = Guard(captures, [])
    assert (await answer(guard))[0] == 403
    assert (await answer(guard, (b"host", b"127.0.0.1"), (b"host", b"evil.example")))[0] == 403


async def test_the_sockets_own_address_is_a_name() -> None:
    """Without a listener's address (a Unix socket) only the fixed names count."""
    assert (await answer(Guard(captures, []), (b"host", b"10.1.2.3:8001"), server=("10.1.2.3", 8001)))[0] == 200
    assert (await answer(Guard(captures, []), (b"host", b"10.1.2.3:8001"), server=None))[0] == 403


async def test_the_password_lets_in_and_nothing_else_does() -> None:
    """With a password it alone decides, under any Host; the answer to its lack asks the browser for it."""
    password = secrets.token_urlsafe() + "é:"
    guard = Guard(captures, [], password)

    def basic(text: str) -> tuple[bytes, bytes]:
        return b"authorization", b"Basic " + b64encode(text.encode())

    host = (b"host", b"box.lan")
    assert (await answer(guard, host, basic(f"anybody:{password}")))[0] == 200
    for wrong in (
        basic(f"anybody:{password}x"),
        basic(password),
        basic(":"),
        (b"authorization", b"Basic \xff%"),
        (b"authorization", b"Bearer x"),
    ):
        assert (await answer(guard, host, wrong))[0] == 401
    status, headers = await answer(guard, (b"host", b"127.0.0.1"))
    assert (status, headers[b"www-authenticate"][:5]) == (401, b"Basic")


async def test_pages_may_load_nothing_from_elsewhere() -> None:
    """Every page carries a policy that forbids other hosts, beside its own headers."""
    _, headers = await answer(Guard(captures, []), (b"host", b"localhost"))
    assert headers[b"x-own"] == b"1"
    assert b"default-src 'self'" in headers[b"content-security-policy"]


async def test_start_and_stop_of_the_server_pass() -> None:
    """`lifespan` is no request: Datasette starts up by it."""
    seen: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: object) -> Any: ...

    await Guard(application, [], "secret")({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]
