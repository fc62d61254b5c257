"""CPU time and memory of real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.benching.processes import IS_LINUX, family, listener, reset_peak, share_cores, usage

pytestmark = pytest.mark.skipif(not IS_LINUX, reason="reads /proc")

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
CHILD = """
import sys, time
while time.process_time() < 0.3: pass
held = bytearray(50_000_000)
del held
print("ready", flush=True)
time.sleep(60)
"""


@contextmanager
def parent_and_child() -> Iterator[tuple[int, int]]:
    """The child has used 0.3 s of CPU time, and for a moment 50 MB."""
    process = subprocess.Popen([sys.executable, "-c", f"CHILD = {CHILD!r}\n{PARENT}"], stdout=subprocess.PIPE, text=True)
    child = 0
    try:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        yield process.pid, child
    finally:
        if child:
            os.kill(child, 9)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def test_children_count_too() -> None:
    """Workers are part of what is measured; the peak begins anew when it is told to."""
    with parent_and_child() as (parent, child):
        assert family(parent) == [parent, child]
        found, own = usage(parent), usage(child)
        assert found is not None and own is not None
        assert own.cpu_s >= 0.3 and found.cpu_s > own.cpu_s
        assert found.rss_bytes > own.rss_bytes > 1_000_000
        assert own.peak_bytes > own.rss_bytes + 40_000_000
        reset_peak(parent)
        after = usage(child)
        assert after is not None and after.peak_bytes < own.peak_bytes - 40_000_000


def test_a_process_that_has_ended_has_no_usage() -> None:
    """That is no error: figures are left out."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(10)
    assert usage(process.pid) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_listener_of_a_port_is_found(host: str) -> None:
    """Over IPv4 and IPv6; a port that nobody listens on has none."""
    family_ = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, 0), family=family_)
    except OSError:
        pytest.skip(f"no {host} here")
    with server:
        port = server.getsockname()[1]
        assert listener(port) == os.getpid()
    assert listener(port) is None


def test_cores_are_shared_where_there_are_enough() -> None:
    """One per worker for what is measured, the rest for the load; else nothing is pinned."""
    assert share_cores([0, 1], 1) == ([1], [0])
    assert share_cores([0, 1, 4, 5], 2) == ([4, 5], [0, 1])
    assert share_cores([0, 1], 2) is None and share_cores([0], 1) is None and share_cores([], 1) is None
