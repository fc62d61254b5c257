"""What is measured is found, or started where it should be."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from addons.config import load
from scripts.benching.processes import IS_LINUX
from scripts.benching.shapes import Cell, Settings
from scripts.benching.targets import Stage, Target, Wanted, accepts, on_cores
from scripts.supervisor import Supervisor
from tests.e2e.harness import refusing_port


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def stage(folder: Path, wanted: Wanted) -> Stage:
    made = Stage(Supervisor(), folder, Settings(), wanted, shared=None)
    made.ca_file.write_text("the upstream's CA\n")
    made.plain_port, made.tls_port = 1, 2
    return made


def test_others_are_reached_by_their_url(tmp_path: Path) -> None:
    """A base URL with its path, or as a proxy; on this machine the process behind it is found; both CAs are trusted."""
    ca = tmp_path / "theirs.pem"
    ca.write_text("their CA\n")
    wanted = Wanted(against_ca=ca, headers={"Authorization": "Bearer x"})
    with listening() as port:
        other = stage(tmp_path, wanted)._other("gateway", f"http://127.0.0.1:{port}/api/v1/")
    base, connect = other.doors["base"], other.doors["connect"]
    assert (base.port, base.path, base.tunnel, base.server_name) == (port, "/api/v1", None, None)
    assert (connect.port, connect.path, connect.tunnel, connect.server_name) == (port, "/v1", "localhost:2", "localhost")
    assert Path(connect.ca_file or "").read_text() == "the upstream's CA\ntheir CA\n"
    assert other.pid == (os.getpid() if IS_LINUX else None)
    assert other.headers == wanted.headers


def test_others_must_be_there(tmp_path: Path) -> None:
    """The error says what their upstream would be."""
    with refusing_port() as port, pytest.raises(click.ClickException, match=r"nothing listens at .*127\.0\.0\.1:1/v1"):
        stage(tmp_path, Wanted())._other("x", f"http://127.0.0.1:{port}")


def test_the_configuration_is_good(tmp_path: Path) -> None:
    """Everything that is written lies in the folder, and the key is no secret to others."""
    config = load(stage(tmp_path, Wanted())._configure(tmp_path, 8080), {})
    assert [upstream.provider for upstream in config.upstreams.values()] == ["openai", "openai"]
    assert config.capture.database == tmp_path / "turnpike.db"
    assert config.state.path.parent == tmp_path
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


async def test_a_taken_upstream_port_is_one_line(tmp_path: Path) -> None:
    """It names the option."""
    with listening() as port:
        async with Supervisor() as supervisor:
            made = Stage(supervisor, tmp_path, Settings(), Wanted(upstream_port=port), shared=None)
            with pytest.raises(click.ClickException, match="--upstream-port"):
                await made.start_all()


def test_targets_take_what_they_can() -> None:
    """One for streams only is no use for anything else."""
    whole, stream = Cell("base", "whole", "kept", 1, 1), Cell("base", "stream", "kept", 1, 1)
    with listening() as port:
        assert accepts(port)
    assert not accepts(port)
    target = Target("x", {}, only_streams=True)
    assert not target.takes(whole) and not target.takes(stream)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_cores_come_back() -> None:
    """Only what is started meanwhile is pinned."""
    before = os.sched_getaffinity(0)
    with on_cores([min(before)]):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before
    with on_cores(None):
        assert os.sched_getaffinity(0) == before
