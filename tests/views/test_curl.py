"""addons/views/curl.py: a command that a shell reads as what was sent, and as nothing else."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from addons.views.curl import Curl, body_name, curl_of, quote, variable_of

CALL: dict[str, Any] = {
    "id": "01K",
    "method": "POST",
    "host": "api.openai.com",
    "path": "/v1/chat/completions",
    "provider": "openai",
    "status": 200,
    "request_bytes": 2,
}
HOSTILE = [
    "$(id)",
    "`id`",
    "a'b",
    'a"b',
    "a\\b",
    "!!",
    "a\nb",
    "\x1b]0;x\x07",
    "\u202eab",
    "-x",
    "@file",
    "a b;c&d|e",
    "東京🚀",
    "\x00"[:0] + "%41",
    "\t",
]


def made(headers: tuple[tuple[str, str], ...] = (), content: bytes | None = b"{}", **columns: Any) -> Curl:
    curl = curl_of(CALL | columns, headers, content)
    assert curl is not None
    return curl


def words(command: str) -> list[str]:
    """What bash makes of a command that is `curl …`, given to a function that prints its arguments."""
    bash = shutil.which("bash")
    assert bash is not None
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    environment = {"OPENAI_API_KEY": "from the environment", "HOME": "/h"}
    return subprocess.run([bash, "-c", script], env=environment, capture_output=True, check=True).stdout.decode().split("\0")[:-1]


def test_the_command_asks_the_same() -> None:
    """Method, address, headers and body; not those that curl makes itself."""
    headers = (("Host", "api.openai.com"), ("Content-Type", "application/json"), ("Content-Length", "2"), ("X-Empty", ""))
    found = words(made(headers, b'{"a": 1}').direct)
    assert found[:5] == ["-sS", "-g", "--path-as-is", "-X", "POST"]
    assert found[5:] == [
        "https://api.openai.com/v1/chat/completions",
        *("-H", "Content-Type: application/json"),
        *("-H", "X-Empty;"),
        *("--data-raw", '{"a": 1}'),
    ]


def test_the_key_comes_from_the_environment() -> None:
    """In the header, or in the query, in which the client sent it; its mask never."""
    by_header = made((("Authorization", "Bearer ***Ab1z"),))
    assert "Authorization: Bearer from the environment" in words(by_header.direct)
    assert by_header.variable == "OPENAI_API_KEY"
    by_query = made(path="/v1/x?alt=sse&key=***&z=1")
    assert "https://api.openai.com/v1/x?alt=sse&key=from the environment&z=1" in words(by_query.direct)
    assert "***" not in by_header.direct + by_query.direct
    assert made().variable is None


def test_cookies_and_accounts_are_left_out() -> None:
    """They are the client's own."""
    assert "***" not in made((("Cookie", "a=***"), ("OpenAI-Organization", "org"), ("X-Other", "***"))).direct


def test_through_the_proxy_it_is_a_replay() -> None:
    """By its address; a call to a base URL on this machine goes there anyway, and says what it repeats."""
    proxied = made().proxied
    assert proxied is not None
    found = words(proxied)
    assert found[found.index("--proxy") + 1] == "http://127.0.0.1:8080"
    assert found[found.index("--cacert") + 1] == "/h/.mitmproxy/mitmproxy-ca-cert.pem"
    assert "X-Turnpike-Replay: 01K" in found
    own = made((("Host", "127.0.0.1:8080"),), host="127.0.0.1", path="/proxy/v1/messages")
    assert own.proxied is not None
    assert "X-Turnpike-Replay: 01K" in words(own.proxied) and "--proxy" not in words(own.proxied)
    assert made((("Host", "127.0.0.1:11434"),), host="127.0.0.1", path="/api/chat").proxied is None  # a server of the user's own
    assert "http://127.0.0.1:8080/proxy/v1/messages" in words(own.direct)


@pytest.mark.parametrize("content", [None, b"x" * 30_000, b"\xff\xfe", b"a\0b"])
def test_what_fits_no_command_is_sent_from_a_file(content: bytes | None) -> None:
    """Long bodies, binary ones, and those that the page does not have."""
    curl = made(content=content)
    assert curl.file == "01K-request.txt"
    assert "@01K-request.txt" in words(curl.direct)
    assert "--data-raw" not in curl.direct


def test_without_a_body_nothing_is_sent() -> None:
    """A GET."""
    curl = made(content=None, method="GET", request_bytes=0)
    assert curl.file is None
    assert "--data" not in curl.direct


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_reads_each_value_as_one_word(text: str) -> None:
    """Wherever a client may have put it; and a terminal is shown nothing that it would act on."""
    curl = made((("X-Any", text), ("X-`id`$HOME", "1")), text.encode(), path=f"/v1/{text}?q={text}", method=text)
    found = words(curl.direct)
    assert found[4] == text
    assert f"https://api.openai.com/v1/{text}?q={text}" in found
    assert f"X-Any: {text}" in found
    assert "X-`id`$HOME: 1" in found
    assert found[-1] == text
    assert curl.direct.replace("\n", "").isprintable()
    assert words(f"curl {quote(text)}") == [text]


def test_headers_that_curl_cannot_send_are_left_out() -> None:
    """HTTP/2's own, and names that are none."""
    assert words(made(((":path", "/"), ("a b", "1"), ("@file", "1"), ("x\ny", "1"))).direct)[6:] == ["--data-raw", "{}"]


@pytest.mark.parametrize("columns", [{"status": 101}, {"host": None}, {"path": ""}])
def test_what_cannot_be_repeated(columns: dict[str, Any]) -> None:
    """A WebSocket; a call of which the address was not kept."""
    assert curl_of(CALL | columns, (), b"") is None
    assert curl_of(CALL | {"path": "@evil.example/v1"}, (), b"") is None  # curl would take the host for a user name
    assert curl_of(CALL, (("Upgrade", "websocket"),), b"") is None


def test_what_no_shell_takes_is_no_command() -> None:
    """A path of a megabyte."""
    assert curl_of({**CALL, "path": "/v1/" + "x" * 1_000_000}, (), None) is None


def test_names_are_plain() -> None:
    """Of files and variables, whatever the columns hold."""
    assert body_name("../a b\n", "request") == "___a_b_-request.txt"
    assert variable_of("open.ai $x") == "OPEN_AI_X_API_KEY"
    assert variable_of(None) == "API_KEY"
