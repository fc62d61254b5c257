"""Settings whose behaviour does not exist yet."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from addons.config import ROOT, ConfigError, load
from addons.config_checks import NOT_YET, doubts

UPSTREAM = "upstreams: {{a: {{{}}}}}"

# Dotted path, how the file is written around it, the default spelled out, something else.
SETTINGS: list[tuple[str, str, str, str]] = [
    ("proxy.shutdown_grace", "proxy: {{{}}}", "shutdown_grace: 10", "shutdown_grace: 5"),
    ("logs.folder", "logs: {{{}}}", "folder: data/logs", "folder: elsewhere"),
    ("logs.keep_days", "logs: {{{}}}", "keep_days: 30", "keep_days: 1"),
    ("logs.max_size", "logs: {{{}}}", "max_size: 100 MiB", "max_size: 1 MiB"),
]


@pytest.mark.parametrize(("path", "wrap", "default", "other"), SETTINGS)
def test_what_does_nothing_yet_takes_its_default_only(
    tmp_path: Path, path: str, wrap: str, default: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default may be written out; anything else is refused with the setting's path, and what it waits for."""
    monkeypatch.setitem(NOT_YET, path, "something")  # at times all settings work
    file = tmp_path / "t.yml"
    file.write_text(wrap.format(default))
    load(file, {})
    file.write_text(wrap.format(other))
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    place = path.replace("upstreams.*", "upstreams.a").replace("*", "0")
    assert str(caught.value).startswith(f"{file}: {place} (line ")
    assert f"is not available yet (it waits for {NOT_YET[path]}); " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("state: {url: 'sqlite:data/x.db'}\ncapture: {database: data/x.db}", "state.url", "is capture.database already"),
        ("redaction: {rules: [builtin, none.toml]}", "redaction.rules.1", "none.toml: cannot be read: No such file"),
        ("upstreams: {a: {probe: {every: 5}}}", "upstreams.a.probe", "write a base_url beside it"),
        ("upstreams: {a: {base_url: 'http://h', probe: {path: v1/models}}}", "upstreams.a.probe.path", "should be a path"),
    ],
)
def test_what_can_not_work_is_refused(text: str, place: str, said: str, tmp_path: Path) -> None:
    """With its place, and what would be right."""
    file = tmp_path / "t.yml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(caught.value).startswith(f"{file}: {place} (line ")
    assert said in str(caught.value)


def test_state_may_be_kept_in_any_file(tmp_path: Path) -> None:
    """Relative paths start at the project's root, and ~ is the user's home."""
    file = tmp_path / "t.yml"
    paths = {"data/own.db": ROOT / "data/own.db", f"{tmp_path}/own.db": tmp_path / "own.db", "~/own.db": Path.home() / "own.db"}
    for written, path in paths.items():
        file.write_text(f"state: {{url: 'sqlite:{written}'}}")
        assert load(file, {}).state.path == path


def test_keys_that_do_not_look_like_their_providers_are_doubted(tmp_path: Path) -> None:
    """At the provider's own host only; upstream, source and hint are named, no more of the key."""
    file = tmp_path / "t.yml"
    file.write_text(
        "upstreams:\n"
        "  a: {provider: openai, base_url: 'https://api.openai.com/v1', keys: [{env: GOOD}, {env: ODD}]}\n"
        "  b: {provider: openai, base_url: 'http://127.0.0.1:8000/v1', keys: [{env: ODD}]}\n"
        "  c: {provider: mistral, base_url: 'https://api.mistral.ai/v1', keys: [{env: ODD}]}\n"
        "  d: {provider: groq, hosts: [api.groq.com], keys: [{env: SHORT}]}\n"
    )
    environ = {"GOOD": "sk-" + secrets.token_hex(16), "ODD": "gsk_" + secrets.token_hex(16), "SHORT": "odd"}
    odd = f"env ODD (…{environ['ODD'][-4:]})"
    assert list(doubts(load(file, environ))) == [
        f"upstreams.a.keys: {odd} does not begin as openai's keys do (sk-…), but as groq's; is it the right key?",
        "upstreams.d.keys: env SHORT (…) does not begin as groq's keys do (gsk_…); is it the right key?",
    ]


def test_files_of_rules_are_checked_and_watched(tmp_path: Path) -> None:
    """A rule that cannot be used is named with its line; a change of the file may mend it."""
    rules, file = tmp_path / "own.toml", tmp_path / "t.yml"
    file.write_text(f"redaction: {{rules: [builtin, personal, '{rules}']}}")
    rules.write_text("[[rules]]\nid = 'ours'\nregex = '('\n")
    with pytest.raises(ConfigError, match=r"own\.toml:1: rule ours: the regex cannot be used") as caught:
        load(file, {})
    assert rules in caught.value.watched
    rules.write_text("[[rules]]\nid = 'ours'\nregex = 'x'\n")
    assert rules in load(file, {}).watched
