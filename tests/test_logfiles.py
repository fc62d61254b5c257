"""Log files: what is put is written, rotated by size and day, kept for so many days; a disk in the way costs lines and nothing else."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addons.logfiles import DAY_S, LogFile, LogFiles, Place

NOON = time.time() // DAY_S * DAY_S + DAY_S / 2  # files that are made now are of this day
LINE = b"x" * 99 + b"\n"


def place(folder: Path, keep_days: float = 30, max_bytes: int = 1000) -> Place:
    return Place(folder, keep_days, max_bytes)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def until(look: Callable[[], object]) -> None:
    """Poll for something that a thread does; 5 s at most."""
    deadline = time.monotonic() + 5
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def logs() -> Iterator[LogFiles]:
    made = LogFiles()
    yield made
    made.stop()


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Also one that was there before; what stood in it stays."""
    folder = tmp_path / "made" / "logs"
    file = LogFile(place(folder), "a.log")
    file.write([b"one\n"], NOON)
    file.close()
    (folder / "a.log").chmod(0o644)
    file.write([b"two\n"], NOON)
    assert (folder / "a.log").read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE((folder / "a.log").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_full_file_makes_place_for_the_next(tmp_path: Path) -> None:
    """No file is longer than it may be, and no line is lost or cut; one that is longer than a file has one for itself."""
    file = LogFile(place(tmp_path, max_bytes=1000), "a.log")
    lines = [b"%03d" % n + LINE[3:] for n in range(35)]
    for start in range(0, 35, 7):
        file.write(lines[start : start + 7], NOON)
    file.write([b"y" * 5000 + b"\n", b"last\n"], NOON)
    assert all(path.stat().st_size <= 1000 or path.read_bytes().startswith(b"yyy") for path in tmp_path.iterdir())
    found = sorted(line for path in tmp_path.iterdir() for line in path.read_bytes().splitlines(keepends=True))
    assert found == sorted([*lines, b"y" * 5000 + b"\n", b"last\n"])
    assert (tmp_path / "a.log").read_bytes() == b"last\n"


def test_each_day_has_its_own(tmp_path: Path) -> None:
    """What has rotated bears the day on which it was written, and a number where there are several of a day."""
    file = LogFile(place(tmp_path, max_bytes=100), "a.jsonl")
    day = time.strftime("%Y-%m-%d", time.gmtime(NOON))
    file.write([LINE, LINE, LINE], NOON)
    file.write([b"next day\n"], NOON + DAY_S)
    assert names(tmp_path) == sorted(["a.jsonl", f"a-{day}.jsonl", f"a-{day}.1.jsonl", f"a-{day}.2.jsonl"])
    assert (tmp_path / "a.jsonl").read_bytes() == b"next day\n"


def test_a_file_of_an_earlier_day_is_rotated_when_we_start(tmp_path: Path) -> None:
    """By the time at which it was last written."""
    (tmp_path / "a.log").write_bytes(b"yesterday\n")
    os.utime(tmp_path / "a.log", (NOON, NOON))
    LogFile(place(tmp_path), "a.log").write([b"today\n"], NOON + DAY_S)
    assert (tmp_path / "a.log").read_bytes() == b"today\n"
    assert len(names(tmp_path)) == 2


def test_what_is_too_old_is_deleted(tmp_path: Path) -> None:
    """Only what has rotated, and nothing that is not ours."""
    kept = ["a-2020-01-02.txt", "b-2020-01-01.log", "a-notes.log"]
    for name in ("a-2020-01-01.log", "a-2020-01-01.3.log", *kept):
        (tmp_path / name).write_text("old")
        os.utime(tmp_path / name, (NOON - 8 * DAY_S,) * 2)
    LogFile(place(tmp_path, keep_days=7), "a.log").write([LINE], NOON)
    assert names(tmp_path) == sorted(["a.log", *kept])


def test_two_writers_share_a_file(tmp_path: Path) -> None:
    """Of two processes that find it full one rotates it, and both go on in the new one."""
    one, two = LogFile(place(tmp_path), "a.log"), LogFile(place(tmp_path), "a.log")
    for n in range(40):
        (one if n % 2 else two).write([b"%03d" % n + LINE[3:]], NOON)
    written = [line for path in tmp_path.iterdir() for line in path.read_bytes().splitlines()]
    assert sorted(int(line[:3]) for line in written) == list(range(40))
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())


def test_what_was_put_before_the_start_is_written_too(logs: LogFiles, tmp_path: Path) -> None:
    """And what waits at the end."""
    logs.put("a.log", "early")
    logs.use(place(tmp_path))
    logs.put("a.log", "late \ud800")
    logs.put("b.log", "other")
    logs.stop()
    assert (tmp_path / "a.log").read_text() == "early\nlate \\ud800\n"
    assert (tmp_path / "b.log").read_text() == "other\n"
    logs.put("a.log", "after the end")
    assert logs.dropped == 1


def test_another_folder_is_taken_at_once(logs: LogFiles, tmp_path: Path) -> None:
    """The configuration was read again."""
    logs.use(place(tmp_path / "old"))
    logs.put("a.log", "first")
    until((tmp_path / "old" / "a.log").exists)
    logs.use(place(tmp_path / "new"))
    logs.put("a.log", "second")
    until((tmp_path / "new" / "a.log").exists)


def test_a_disk_in_the_way_costs_lines(logs: LogFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are counted, and said once; when it heals, what comes is written."""
    blocked = tmp_path / "logs"
    blocked.write_text("a file where the folder should be")
    logs.use(place(blocked))
    with caplog.at_level(logging.WARNING):
        for lost in range(1, 4):
            logs.put("a.log", "lost")
            until(lambda: logs.dropped == lost)  # noqa: B023 - asked at once
        blocked.unlink()
        logs.put("a.log", "kept")
        until((blocked / "a.log").exists)
    logs.stop()
    assert (blocked / "a.log").read_text() == "kept\n"
    assert len([line for line in caplog.messages if "log files cannot be written" in line]) == 1


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """A disk that hangs costs no memory."""
    logs = LogFiles(limit_bytes=100)
    for _ in range(5):
        logs.put("a.log", "x" * 39)
    assert logs.dropped == 3
    logs.use(place(tmp_path))
    logs.stop()
    assert len((tmp_path / "a.log").read_text().splitlines()) == 2
