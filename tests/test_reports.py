"""What the processes on one port tell each other."""

from __future__ import annotations

import os
import time
from pathlib import Path

from addons.reports import STALE_S, Report, Reports, merged
from addons.worker import Worker

ONE = """\
# HELP turnpike_calls_total API calls that have ended.
# TYPE turnpike_calls_total counter
turnpike_calls_total{upstream="a b",outcome="ok"} 2
# HELP turnpike_wait_seconds Waits.
# TYPE turnpike_wait_seconds histogram
turnpike_wait_seconds_bucket{le="+Inf"} 3
turnpike_wait_seconds_sum 0.5
"""
TWO = """\
# HELP turnpike_calls_total API calls that have ended.
# TYPE turnpike_calls_total counter
turnpike_calls_total{upstream="a b",outcome="ok"} 5
# HELP turnpike_queue_rows Rows.
# TYPE turnpike_queue_rows gauge
turnpike_queue_rows 1e+06
"""


def reports(folder: Path, number: int, now: float) -> Reports:
    return Reports(folder, Worker(number, 3, "run", b"", folder), lambda: now)


def test_each_reads_those_of_the_others(tmp_path: Path) -> None:
    """Of those that run."""
    now = time.time()
    one, two = Report(1, 11, ONE, {"openai": [(1, 2)]}), Report(2, 22, TWO)
    reports(tmp_path, 1, now).write(one)
    reports(tmp_path, 2, now).write(two)
    [seen] = reports(tmp_path, 2, now).others()
    assert (seen.number, seen.pid, seen.metrics) == (1, 11, ONE)
    assert [tuple(counts) for counts in seen.keys["openai"]] == [(1, 2)]
    assert reports(tmp_path, 3, now).others() == [seen, two]
    reports(tmp_path, 2, now).remove()
    assert reports(tmp_path, 3, now).others() == [seen]
    assert [report.number for report in reports(tmp_path, 1, now).others()] == []


def test_one_that_is_stale_or_broken_is_left_out(tmp_path: Path) -> None:
    """Its process has ended, or hangs."""
    now = time.time()
    reports(tmp_path, 1, now).write(Report(1, 11, ONE))
    assert reports(tmp_path, 2, now + STALE_S + 1).others() == []
    (tmp_path / "worker-1.json").write_text("{")
    assert reports(tmp_path, 2, now).others() == []
    assert sorted(os.listdir(tmp_path)) == ["worker-1.json"]


def test_metrics_of_all_are_one_text() -> None:
    """Each family once with its help and type, each sample with its worker, in the place of its family."""
    assert merged([(1, ONE), (2, TWO)]) == (
        "# HELP turnpike_calls_total API calls that have ended.\n"
        "# TYPE turnpike_calls_total counter\n"
        'turnpike_calls_total{upstream="a b",outcome="ok",worker="1"} 2\n'
        'turnpike_calls_total{upstream="a b",outcome="ok",worker="2"} 5\n'
        "# HELP turnpike_wait_seconds Waits.\n"
        "# TYPE turnpike_wait_seconds histogram\n"
        'turnpike_wait_seconds_bucket{le="+Inf",worker="1"} 3\n'
        'turnpike_wait_seconds_sum{worker="1"} 0.5\n'
        "# HELP turnpike_queue_rows Rows.\n"
        "# TYPE turnpike_queue_rows gauge\n"
        'turnpike_queue_rows{worker="2"} 1e+06\n'
    )
