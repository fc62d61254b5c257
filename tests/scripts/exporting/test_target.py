"""Where an export goes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.exporting.target import BadTarget, Target, belonging_to


def left_over(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".part")]


def test_a_new_file_is_whole_and_private(tmp_path: Path) -> None:
    """0600 whatever the umask, nothing beside it."""
    old = os.umask(0)
    try:
        Target(tmp_path / "a.csv").write([b"a", b"b"])
    finally:
        os.umask(old)
    assert (tmp_path / "a.csv").read_bytes() == b"ab"
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.csv"]


def test_what_is_there_stays_unless_forced(tmp_path: Path) -> None:
    """And a forced file becomes private too."""
    file = tmp_path / "a.csv"
    file.write_text("mine")
    file.chmod(0o644)
    with pytest.raises(BadTarget, match=r"a\.csv exists; --force writes over it"):
        Target(file).write([b"x"])
    assert file.read_text() == "mine"
    Target(file, force=True).write([b"x"])
    assert file.read_text() == "x"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither half a file nor a temporary one; what was there is still there."""
    file = tmp_path / "a.csv"
    file.write_text("mine")

    def pieces() -> Iterator[bytes]:
        yield b"half"
        assert left_over(tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Target(file, force=True).write(pieces())
    assert file.read_text() == "mine"
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_through_a_link(tmp_path: Path, force: bool) -> None:
    """Whether it leads somewhere or nowhere."""
    other = tmp_path / "other"
    other.write_text("mine")
    for name, leads_to in (("a.csv", other), ("b.csv", tmp_path / "missing")):
        (tmp_path / name).symlink_to(leads_to)
        with pytest.raises(BadTarget, match="is a symbolic link"):
            Target(tmp_path / name, force).write([b"x"])
    assert other.read_text() == "mine"
    assert not (tmp_path / "missing").exists()


def test_a_link_that_is_put_there_meanwhile_is_seen(tmp_path: Path) -> None:
    """At the end, when the file takes its place; and so is a file, without force."""
    other = tmp_path / "other"
    other.write_text("mine")

    def pieces(make: bool) -> Iterator[bytes]:
        (tmp_path / "a.csv").symlink_to(other) if make else (tmp_path / "b.csv").write_text("theirs")
        yield b"x"

    with pytest.raises(BadTarget, match="symbolic link"):
        Target(tmp_path / "a.csv", force=True).write(pieces(True))
    with pytest.raises(BadTarget, match="exists"):
        Target(tmp_path / "b.csv").write(pieces(False))
    assert (other.read_text(), (tmp_path / "b.csv").read_text()) == ("mine", "theirs")
    assert not left_over(tmp_path)


def test_a_folder_that_is_exchanged_meanwhile_changes_nothing(tmp_path: Path) -> None:
    """The file goes where the folder that was named has gone, not where the name leads now."""
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()

    def pieces() -> Iterator[bytes]:
        folder.rename(tmp_path / "moved")
        folder.symlink_to(elsewhere)
        yield b"x"

    Target(folder / "a.csv").write(pieces())
    assert (tmp_path / "moved" / "a.csv").read_bytes() == b"x"
    assert not os.listdir(elsewhere)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("missing/a.csv", "there is no folder"),
        ("file/a.csv", "Not a directory"),
        ("folder", "is a folder"),
        ("folder/..", "is a folder"),
        ("pipe", "is no plain file"),
        ("x" * 300, "File name too long"),
    ],
)
def test_no_place_for_a_file(tmp_path: Path, name: str, error: str) -> None:
    """Each is said in one line, before anything is read; force changes nothing."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for force in (False, True):
        with pytest.raises(BadTarget, match=error):
            Target(tmp_path / name, force).check()


def test_the_captures_are_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what SQLite has beside them, under whatever name, and not with force."""
    database = tmp_path / "turnpike.db"
    database.write_text("all of it")
    os.link(database, tmp_path / "same.db")
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in (database, Path("turnpike.db"), tmp_path / "same.db", tmp_path / "folder" / "turnpike.db", Path("./turnpike.db-wal")):
        with pytest.raises(BadTarget, match="Turnpike itself works with"):
            Target(path, force=True, keep=belonging_to(database)).check()
    assert database.read_text() == "all of it"
