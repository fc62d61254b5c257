"""What a request is addressed to."""

import pytest

from addons.core.addressing import (
    UnknownUpstream,
    host_name,
    is_foreign_page,
    is_loopback,
    is_own_authority,
    is_own_host,
    is_this_machine,
    product_of,
    resolve_base_url,
    session_of,
)

PROVIDERS = {"openai": "openai", "claude": "anthropic", "local": "ollama", "groq": "groq", "google": "gemini"}


@pytest.mark.parametrize(
    ("method", "path", "header", "upstream", "rest", "api"),
    [
        ("POST", "/v1/chat/completions", None, "openai", "/v1/chat/completions", "openai.chat"),
        ("POST", "/v1/messages", None, "claude", "/v1/messages", "anthropic.messages"),
        ("POST", "/v1/models/g:streamGenerateContent", None, "google", "/v1/models/g:streamGenerateContent", "gemini.generate"),
        ("POST", "/api/chat", None, "local", "/api/chat", "ollama.chat"),
        ("POST", "/local/api/chat?x=1", None, "local", "/api/chat?x=1", "ollama.chat"),
        ("POST", "/groq/openai/v1/chat/completions", None, "groq", "/openai/v1/chat/completions", "openai.chat"),
        ("POST", "/groq/v1/chat/completions", None, "groq", "/v1/chat/completions", "openai.chat"),
        ("POST", "/groq/chat/completions", None, "groq", "/chat/completions", "openai.chat"),
        ("POST", "/v1/chat/completions", "groq", "groq", "/v1/chat/completions", "openai.chat"),
        ("POST", "/v1/chat/completions", "local", "local", "/v1/chat/completions", "openai.chat"),
        ("GET", "/v1/models", "claude", "claude", "/v1/models", "other"),
        ("POST", "/v1/messages", "groq", "groq", "/v1/messages", None),
        ("POST", "/something/else", "openai", "openai", "/something/else", None),
        ("POST", "/claude/messages", None, "claude", "/messages", "anthropic.messages"),
    ],
)
def test_resolve(method: str, path: str, header: str | None, upstream: str, rest: str, api: str | None) -> None:
    """Segment, then header, then default, then the first upstream that speaks the path's dialect (DESIGN §3)."""
    call = resolve_base_url(method, path, header, PROVIDERS, "openai")
    assert (call.upstream, call.path, call.api and call.api.name) == (upstream, rest, api)


def test_unknown_upstream_lists_the_known() -> None:
    """The error names what there is."""
    with pytest.raises(UnknownUpstream, match=r"'nope'; known: openai, claude, local, groq, google"):
        resolve_base_url("POST", "/v1/messages", "nope", PROVIDERS, "openai")
    with pytest.raises(UnknownUpstream, match=r"/olama/api/chat is no API path, and 'olama' no upstream; known: openai, claude"):
        resolve_base_url("POST", "/olama/api/chat", None, PROVIDERS, "openai")
    with pytest.raises(UnknownUpstream, match="no upstream is configured"):
        resolve_base_url("POST", "/v1/messages", None, {}, None)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("localhost", False),
    ],
)
def test_is_loopback(address: str, loopback: bool) -> None:
    """Also IPv4 mapped into IPv6, as dual-stack listeners show it."""
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("LocalHost:8080", "localhost"),
        ("[::1]:8080", "::1"),
        ("::1", "::1"),
        ("http://127.0.0.1:80/x", "127.0.0.1"),
        ("http://127.0.0.1@evil.test", "evil.test"),
        ("", ""),
    ],
)
def test_host_name(authority: str, name: str) -> None:
    """Host headers and origins, with and without port."""
    assert host_name(authority) == name


def test_own_hosts() -> None:
    """Loopback, the socket's own address, configured names; a rebound name is none of them."""
    assert all(is_own_host(host, "10.0.0.5", ["Box.lan"]) for host in ("localhost", "127.0.0.1", "::1", "10.0.0.5", "box.lan"))
    assert not is_own_host("evil.test", "127.0.0.1", [])
    assert not is_own_host("", "127.0.0.1", [])


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"origin": "http://localhost:8080"}, False),
        ({"origin": "http://LOCALHOST:8080", "sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"origin": "http://localhost:3000"}, True),
        ({"origin": "https://evil.test"}, True),
        ({"origin": "null"}, True),
        ({"origin": "https://box.lan"}, False),
    ],
)
def test_foreign_pages(headers: dict[str, str], foreign: bool) -> None:
    """A browser's own words decide; a page on another port of this machine is foreign too."""
    assert is_foreign_page(headers, "localhost:8080", ["box.lan"]) is foreign


def test_session_and_product() -> None:
    """Our own session header comes first; the client is its User-Agent's first product."""
    assert session_of({"session-id": "b", "x-turnpike-session": "a"}) == "a"
    assert session_of({"x-claude-code-session-id": "c"}) == "c"
    assert session_of({"x-session-id": ""}) is None
    assert product_of("claude-cli/2.1.0 (external, cli)") == "claude-cli"
    assert product_of("") is None and product_of(None) is None


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("any.localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("::ffff:0.0.0.0", True),
        ("127.1", True),
        ("2130706433", True),
        ("0x7f.1", True),
        ("0x7f000001", True),
        ("example.com", False),
        ("localhost.example.com", False),
        ("10.0.0.1", False),
        ("2001:db8::1", False),
        ("0x.example", False),
        ("", False),
    ],
)
def test_is_this_machine(host: str, own: bool) -> None:
    """Every way to write this machine that a resolver takes, and no other host."""
    assert is_this_machine(host) is own


@pytest.mark.parametrize("authority", ["localhost:8080", "127.0.0.1", "[::1]:80", "box.lan:1", "evil.test", "", "a@localhost", "x" * 300])
def test_own_authorities_are_own_hosts(authority: str) -> None:
    """Asked for the first time and again, under other names and at other sockets."""
    for _ in range(2):
        for socket_address, names in (("10.0.0.5", ("Box.lan",)), ("evil.test", ()), ("127.0.0.1", ("x*",))):
            assert is_own_authority(authority, socket_address, names) == is_own_host(host_name(authority), socket_address, names)
