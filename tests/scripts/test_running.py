"""Where the proxy is, whether it answers, which ports are free."""

from __future__ import annotations

import socket
from pathlib import Path

import click
import pytest

from addons.config import Config
from scripts.running import Address, address_of, check_port, free_port, load_config, running_proxy


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("localhost:9000", "http://localhost:9000"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://proxy.internal", "http://proxy.internal:80"),
    ],
)
def test_addresses_as_people_write_them(given: str, url: str) -> None:
    """With and without scheme, path and port; IPv6 in brackets."""
    assert Address.of(given).url == url


@pytest.mark.parametrize("given", ["https://127.0.0.1:8080", "socks5://127.0.0.1:1", "http://", "http://a:99999", "http://a:b"])
def test_what_is_no_address_is_refused_in_one_line(given: str) -> None:
    """The error names what was given."""
    with pytest.raises(click.ClickException) as error:
        Address.of(given)
    assert given in error.value.message and "\n" not in error.value.message


def test_a_listener_on_all_addresses_is_spoken_to_on_loopback() -> None:
    """0.0.0.0 is no address to connect to."""
    assert address_of(Config.model_validate({"proxy": {"host": "0.0.0.0", "port": 9000}})).url == "http://127.0.0.1:9000"


def test_a_foreign_listener_is_not_the_proxy() -> None:
    """A port that is taken by something else does not count as a proxy that runs."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        other.settimeout(10)
        assert not Address("127.0.0.1", free_port("127.0.0.1", 0)).answers()
        with pytest.raises(OSError):
            check_port("127.0.0.1", port)
        assert free_port("127.0.0.1", port) != port


def test_no_proxy_is_said_with_the_remedy() -> None:
    """The error names the address and how to start one."""
    port = free_port("127.0.0.1", 0)
    with pytest.raises(click.ClickException, match=rf"127\.0\.0\.1:{port}.*turnpike run"):
        running_proxy(Config(), f"http://127.0.0.1:{port}")


def test_a_free_port_is_kept() -> None:
    """The preferred port is taken as it is when nothing listens there."""
    port = free_port("127.0.0.1", 0)
    assert free_port("127.0.0.1", port) == port


def test_a_broken_configuration_is_one_line(tmp_path: Path) -> None:
    """A ConfigError becomes an error of the command."""
    file = tmp_path / "turnpike.yml"
    file.write_text("proxy: {prot: 1}")
    with pytest.raises(click.ClickException, match=r"proxy\.prot"):
        load_config(file)
