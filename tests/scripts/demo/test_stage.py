"""What a demo plays on: a folder, a configuration, keys of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.demo import stage


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own demo is left alone."""
    monkeypatch.setattr(stage, "FOLDER", tmp_path / "demo")
    return tmp_path / "demo"


def test_the_database_begins_empty(folder: Path) -> None:
    """What an earlier demo left is removed, and nothing else."""
    folder.mkdir()
    for name in ("turnpike.db", "turnpike.db-wal", "other.txt"):
        (folder / name).touch()
    with stage.open_stage() as opened:
        assert sorted(path.name for path in folder.iterdir()) == ["lock", "other.txt"]
        assert opened.is_first
    assert not opened.temporary.exists()


def test_stages_do_not_share_a_folder() -> None:
    """The second at the same time has its own; one after the other use the same."""
    with stage.open_stage() as first, stage.open_stage() as second:
        assert first.folder != second.folder and not second.is_first
    with stage.open_stage() as again:
        assert again.folder == first.folder


def test_the_configuration_opens_the_real_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real hosts, calls to the provider that was given, two keys each made for the occasion; the user's settings do not count."""
    monkeypatch.setenv("TURNPIKE_UPSTREAMS", '[{"name": "mine", "base_url": "https://llm.example.com/v1"}]')
    with stage.open_stage() as opened:
        config = opened.configure("http://127.0.0.1:9", "127.0.0.1", 8081)
        again = opened.configure("http://127.0.0.1:9", "127.0.0.1", 8081)
        assert {file.stat().st_mode & 0o777 for file in opened.temporary.glob("*.key")} == {0o600}
    assert list(config.upstreams) == ["openai", "anthropic", "gemini", "ollama"]
    found = [config.upstream_for_host(host) for host in ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com")]
    assert [upstream.name for upstream in found if upstream] == ["openai", "anthropic", "gemini"]
    assert (config.proxy.port, config.capture.database) == (8081, opened.database)
    keys = [{secret.value for secret in secrets} for secrets in (*config.secrets.values(), *again.secrets.values())]
    assert [len(values) for values in keys] == [2, 2, 2, 0] * 2
    assert len(set().union(*keys)) == 12


def test_paths_are_shown_as_they_are_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short below the working folder, whole elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert stage.shown(tmp_path / "a" / "b") == "a/b"
    assert stage.shown(Path("/elsewhere/b")) == "/elsewhere/b"
