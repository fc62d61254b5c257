"""Headers read and made at once, which must be what mitmproxy reads and makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http

from addons.core.attempt import HeaderFields
from addons.wireheaders import asked_host, header_map, header_pairs, host_header, make_headers, read_headers, with_header

NAMES = st.sampled_from([b"Host", b"host", b"X-One", b"x-one", b"Content-Length", b"content-length", b"Odd\xff", b"\xc3\xa9", b""])
VALUES = st.one_of(st.binary(max_size=4), st.sampled_from([b"a.test", b"[::1]:80", "é".encode(), b"1, 2"]))
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(tuple)
AUTHORITIES = st.one_of(
    st.sampled_from(
        ["", "a.test", "A.test:443", "a.test:99999", "[::1]:80", "[::1]", "::1", "user@a.test", "xn--bcher-kva.test", "a b", "x:y"]
    ),
    st.text(max_size=12),
)


def request_of(fields: HeaderFields, version: str, authority: str) -> http.Request:
    """A request to 10.0.0.1."""
    request = http.Request.make("POST", "http://10.0.0.1:81/v1/x", b"", http.Headers(fields))
    request.headers = http.Headers(fields)
    request.http_version, request.authority = version, authority
    return request


@given(FIELDS)
def test_headers_as_a_dictionary(fields: HeaderFields) -> None:
    """As mitmproxy's own `items` gives them, names in lower case; only ASCII is lowered there, so of other names nothing is said."""
    headers = http.Headers(fields)
    ascii_only = {name: value for name, value in header_map(headers).items() if name.isascii()}
    assert ascii_only == {name.lower(): value for name, value in headers.items() if name.isascii()}


@given(FIELDS)
def test_headers_stay_as_on_the_wire(fields: HeaderFields) -> None:
    """Order, case, repeats, and bytes that are no UTF-8."""
    read = read_headers(http.Headers(fields))
    assert read.fields == fields
    assert read.pairs == header_pairs(http.Headers(fields)) == tuple(http.Headers(fields).items(multi=True))
    assert read.by_name == header_map(http.Headers(fields))


@given(FIELDS, NAMES, VALUES)
def test_headers_made_at_once(fields: HeaderFields, name: bytes, value: bytes) -> None:
    """They are mitmproxy's own in all that is done with them."""
    made, own = make_headers(fields), http.Headers(fields)
    assert (made, vars(made), made.get_state()) == (own, vars(own), own.get_state())
    for headers in (made, own):
        headers[name] = value
    assert made.fields == own.fields == with_header(fields, name, value)


@given(FIELDS, st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/3"]), AUTHORITIES, AUTHORITIES)
def test_whom_a_request_is_for(fields: HeaderFields, version: str, host: str, authority: str) -> None:
    """As mitmproxy says it, in every version and whatever stands there."""
    given_fields = with_header(fields, b"Host", host.encode("utf-8", "surrogatepass"))
    request = request_of(given_fields, version, authority if authority.isascii() else "")
    by_name = header_map(request.headers)
    for _ in range(2):
        assert host_header(request, by_name) == request.host_header
        assert asked_host(request, by_name) == request.pretty_host


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2.0"])
def test_without_a_name_it_is_for_the_host_that_it_goes_to(version: str) -> None:
    """No Host header, no authority."""
    request = request_of((), version, "")
    assert (host_header(request, {}), asked_host(request, {})) == (None, "10.0.0.1")
