"""Who may read the captures: this machine's own user, and no web page; or whoever knows the password.

Datasette answers every Host. A page in the user's browser whose name was made to point at 127.0.0.1 (DNS rebinding) would
be of one origin with it and could read every prompt; so only names that mean this server are answered.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from addons.core.addressing import host_name, is_own_host

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_POLICY = "default-src 'self' 'unsafe-inline'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
"""Datasette's pages have inline scripts and styles; nothing in them comes from, or goes to, another host."""


SAFE_HEADERS = ((b"content-security-policy", CONTENT_POLICY.encode()), (b"x-content-type-options", b"nosniff"))


class Guard:
    """Wraps an ASGI application: 403 for a foreign Host, or with a password 401 without it.

    With a password any Host is answered: a browser keeps credentials per origin, so a rebound name has none to send.
    """

    def __init__(self, application: Application, names: Collection[str], password: str | None = None) -> None:
        self.application = application
        self.names = names
        self.password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Only HTTP carries captures; the server's start and stop (`lifespan`) pass."""
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
        elif self.password is not None and not _knows(scope, self.password):
            await _refuse(send, 401, "the password is needed (any user name)\n", (b"www-authenticate", b'Basic realm="Turnpike"'))
        elif self.password is None and not self._is_own(scope):
            await _refuse(send, 403, "this server does not answer under that name; use the address that `turnpike browse` printed\n")
        else:
            await self.application(scope, receive, _with_policy(send))

    def _is_own(self, scope: Scope) -> bool:
        """Every Host that the request carries must be ours; a request without any is no browser's, and refused."""
        socket_address = (scope.get("server") or ("", 0))[0]
        hosts = _headers(scope, b"host")
        return bool(hosts) and all(is_own_host(host_name(host), socket_address, self.names) for host in hosts)


def _knows(scope: Scope, password: str) -> bool:
    """Does the request carry the password as Basic credentials (RFC 7617)? The user name may be anything."""
    for value in _headers(scope, b"authorization"):
        kind, _, encoded = value.partition(" ")
        try:
            given = b64decode(encoded, validate=True).partition(b":")[2]
        except ValueError:  # no base64: as good as none
            continue
        if kind.lower() == "basic" and hmac.compare_digest(given, password.encode()):
            return True
    return False


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def _with_policy(send: Send) -> Send:
    async def send_with_policy(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *SAFE_HEADERS]}
        await send(message)

    return send_with_policy


async def _refuse(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    fixed = [(b"content-type", b"text/plain; charset=utf-8"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fixed})
    await send({"type": "http.response.body", "body": text.encode()})
