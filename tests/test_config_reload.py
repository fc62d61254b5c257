"""Reading a changed file again."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.config import ConfigError, ConfigFile, load, restart_needed
from addons.config_reload import WatchedFile


def test_a_valid_change_is_swapped_in_and_an_invalid_one_is_not(tmp_path: Path) -> None:
    """`changed` is true once per change; a bad file raises and leaves the old configuration; the repaired one is taken."""
    path = tmp_path / "t.yml"
    path.write_text("proxy: {prefix: /a}")
    config = ConfigFile(path, {})
    first = config.current
    assert not config.changed()
    path.write_text("proxy: {prefix: nothing}")
    assert config.changed()
    with pytest.raises(ConfigError, match=r"proxy\.prefix"):
        config.reload()
    assert config.current is first
    assert not config.changed(), "an error is told once, not at every look"
    path.write_text("proxy: {prefix: /bb}")
    assert config.changed()
    assert config.reload() is config.current
    assert config.current.proxy.prefix == "/bb"


def test_a_file_replaced_by_one_of_the_same_size_is_a_change(tmp_path: Path) -> None:
    """Editors and Kubernetes put another file in its place; so does removing it."""
    path, other = tmp_path / "t.yml", tmp_path / "u.yml"
    path.write_text("proxy: {port: 1}")
    other.write_text("proxy: {port: 2}")
    config = ConfigFile(path, {})
    other.replace(path)
    assert config.changed()
    assert config.reload().proxy.port == 2
    path.unlink()
    assert config.changed()
    with pytest.raises(ConfigError, match="no such file"):
        config.reload()


def test_an_invalid_file_makes_no_reloader(tmp_path: Path) -> None:
    """At the start there is no old configuration to keep."""
    with pytest.raises(ConfigError, match="no such file"):
        ConfigFile(tmp_path / "nope.yml", {})


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("proxy: {host: 0.0.0.0, port: 1, prefix: /x}", ["proxy.host", "proxy.port"]),
        ("capture: {database: x.db, bodies: false}", ["capture.database"]),
        ("upstreams: {a: {}}", []),
    ],
)
def test_what_needs_a_restart_is_named(tmp_path: Path, text: str, paths: list[str]) -> None:
    """Host, port, database and state; nothing else."""
    old, new = tmp_path / "old.yml", tmp_path / "new.yml"
    old.write_text("")
    new.write_text(text)
    assert restart_needed(load(old, {}), load(new, {})) == paths


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    """A file that is seen for the first time has no stamp from before its reading, so it is read once more."""
    path, key_file, seen = tmp_path / "t.yml", tmp_path / "key", list[str]()
    path.write_text("")
    key_file.write_text("old")

    class Reading:
        watched = (path, key_file)

    def read(_: Path) -> Reading:
        seen.append(key_file.read_text())
        key_file.write_text("new")
        return Reading()

    WatchedFile(path, read)
    assert seen == ["old", "new"]
