"""CPU time and memory of processes, of /proc (Linux); elsewhere there are none of these figures."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
IS_LINUX = sys.platform.startswith("linux")
PEAK_RESET = "5"  # proc_pid_clear_refs(5): VmHWM begins anew at the present size
CPUCLOCK_SCHED = 2  # clock_getcpuclockid(3): the clock of a process is ~pid << 3 | 2, in nanoseconds where /proc/PID/stat has 10 ms
LISTEN = "0A"
_SIZE = re.compile(r"^(VmHWM|VmRSS):\s+([0-9]+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and those that it has started. CPU seconds since their start, the peak since `reset_peak`."""

    cpu_s: float
    rss_bytes: int
    peak_bytes: int


def usage(pid: int) -> Usage | None:
    """None where it has ended, or this is no Linux."""
    if not IS_LINUX:
        return None
    cpu_s, rss, peak, seen = 0.0, 0, 0, False
    for one in family(pid):
        with suppress(OSError):  # ended meanwhile
            sizes = {name: int(kilobytes) * 1024 for name, kilobytes in _SIZE.findall((PROC / str(one) / "status").read_text())}
            cpu_s += time.clock_gettime(~one << 3 | CPUCLOCK_SCHED)
            rss, peak, seen = rss + sizes.get("VmRSS", 0), peak + sizes.get("VmHWM", 0), True
    return Usage(cpu_s, rss, peak) if seen else None


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found, at = [pid], 0
    while at < len(found):
        with suppress(OSError):
            for children in (PROC / str(found[at]) / "task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        at += 1
    return found


def reset_peak(pid: int) -> None:
    """The peak of memory begins anew; where the kernel does not let us, it stays that of the whole life."""
    for one in family(pid) if IS_LINUX else ():
        with suppress(OSError):
            (PROC / str(one) / "clear_refs").write_text(PEAK_RESET)


def listener(port: int) -> int | None:
    """The process of ours that listens on a TCP port of this machine; None where there is none, or it is somebody else's."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    for entry in PROC.glob("[0-9]*") if sockets else ():
        with suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                if os.readlink(descriptor) in sockets:
                    return int(entry.name)
    return None


def _listening(table: str, port: int) -> list[str]:
    """Inodes of the sockets, of /proc/net/tcp (proc_net(5)): local address, state and inode are columns 1, 3 and 9."""
    try:
        rows = [line.split() for line in (PROC / "net" / table).read_text().splitlines()[1:]]
    except OSError:
        return []
    return [row[9] for row in rows if row[3] == LISTEN and int(row[1].rpartition(":")[2], 16) == port]


def cores() -> list[int]:
    """Those that this process may run on; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def share_cores(available: list[int], workers: int) -> tuple[list[int], list[int]] | None:
    """The cores of what is measured, and those of load and upstream; None where there are too few to share."""
    if len(available) <= workers:
        return None
    return available[-workers:], available[:-workers]
