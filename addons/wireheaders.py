"""mitmproxy's headers read and made at once. Its own `Headers` looks through all fields for every question, converting each name and
value on the way, and asks for each field's type when it is made: most of what a call would cost in our rooms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mitmproxy import http
from mitmproxy.net.http import url

from addons.core.attempt import LOWER, HeaderFields
from addons.core.call import Headers
from addons.core.memo import Memo

WITH_AUTHORITY = frozenset({b"HTTP/2.0", b"HTTP/3"})
"""HTTP versions that name the host outside of the headers."""

_HOSTS = Memo[str, str](lambda authority: url.parse_authority(authority, check=False)[0])


class ReadHeaders(NamedTuple):
    """`fields` as they came, as text in the order and case of the wire, and by lower-case name (those of one name joined)."""

    fields: HeaderFields
    pairs: Headers
    by_name: Mapping[str, str]


def read_headers(headers: http.Headers) -> ReadHeaders:
    """All of them, once."""
    pairs = header_pairs(headers)
    return ReadHeaders(headers.fields, pairs, _by_name(pairs))


def header_pairs(headers: http.Headers) -> Headers:
    """Header pairs as text, in the order and case of the wire."""
    fields = headers.fields
    try:
        return tuple([(_NAMES[name], value.decode()) for name, value in fields])
    except UnicodeDecodeError:  # which is looked for only where there is any: asked not to raise, decoding takes twice as long
        return tuple([(_NAMES[name], _text(value)) for name, value in fields])


def _text(wire: bytes) -> str:
    return wire.decode("utf-8", "surrogateescape")


_NAMES = Memo[bytes, str](_text)


def header_map(headers: http.Headers) -> dict[str, str]:
    """Lower-case names and their values, those of one name joined as mitmproxy joins them."""
    return _by_name(header_pairs(headers))


def _by_name(pairs: Headers) -> dict[str, str]:
    found = {name.lower(): value for name, value in pairs}
    if len(found) == len(pairs):
        return found
    found = {}
    for name, value in pairs:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def make_headers(fields: HeaderFields) -> http.Headers:
    """`http.Headers(fields)` of pairs of bytes, which it would copy one by one."""
    headers: http.Headers = http.Headers.__new__(http.Headers)
    headers.fields = fields
    return headers


def with_header(fields: HeaderFields, name: bytes, value: bytes) -> HeaderFields:
    """As `headers[name] = value`: in the place of the first of that name, whose case stays, or at the end; others of the name are gone.
    `name` is in the case in which it is put in."""
    changed = with_value(fields, name.lower(), value)
    return (*fields, (name, value)) if changed is fields else changed


def with_value(fields: HeaderFields, name: bytes, value: bytes) -> HeaderFields:
    """The same where there is a header of this (lower-case) name; else the very fields."""
    if name not in [LOWER[own] for own, _ in fields]:
        return fields
    changed, values = [], [value]
    for field in fields:
        if LOWER[field[0]] != name:
            changed.append(field)
        elif values:
            changed.append((field[0], values.pop()))
    return tuple(changed)


def wire_bytes(text: str) -> bytes:
    """As mitmproxy writes it."""
    return text.encode("utf-8", "surrogateescape")


def host_header(request: http.Request, by_name: Mapping[str, str]) -> str | None:
    """`request.host_header`, of headers that have been read."""
    if request.data.http_version in WITH_AUTHORITY:
        return request.host_header
    return by_name.get("host")


def asked_host(request: http.Request, by_name: Mapping[str, str]) -> str:
    """`request.pretty_host`, of headers that have been read."""
    authority = host_header(request, by_name)
    return _HOSTS[authority] if authority else request.host
