"""Settings whose behaviour does not exist yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from addons.config import ConfigError, load
from addons.config_checks import NOT_YET

ROUTE = "upstreams: {{a: {{}}}}\nroutes: [{{to: [{{upstream: a}}], {}}}]"
UPSTREAM = "upstreams: {{a: {{{}}}}}"

# Dotted path, how the file is written around it, the default spelled out, something else.
SETTINGS: list[tuple[str, str, str, str]] = [
    ("proxy.shutdown_grace", "proxy: {{{}}}", "shutdown_grace: 10", "shutdown_grace: 5"),
    ("upstreams.*.timeout", UPSTREAM, "timeout: {connect: 10}", "timeout: {idle: 1}"),
    ("upstreams.*.keys.*.keyring", UPSTREAM, "keys: []", "keys: [{keyring: a/b}]"),
    ("upstreams.*.keys.*.max_concurrent", UPSTREAM, "keys: [{env: K*}]", "keys: [{env: K*, max_concurrent: 2}]"),
    ("upstreams.*.models", UPSTREAM, 'models: {allow: ["*"], deny: []}', "models: {deny: [x]}"),
    ("upstreams.*.aliases", UPSTREAM, "aliases: {}", "aliases: {fast: m}"),
    ("upstreams.*.probe", UPSTREAM, "probe: null", "probe: {path: /v1/models, every: 30, timeout: 5}"),
    ("upstreams.*.redaction", UPSTREAM, "redaction: {}", "redaction: {mode: mask}"),
    ("routes.*.strategy", ROUTE, "strategy: priority", "strategy: [local_first, fastest]"),
    ("routes.*.fallback", ROUTE, "fallback: {max_attempts: 5}", "fallback: {on: [rate_limit, 5xx, 418]}"),
    ("capture.keep", "capture: {{{}}}", "keep: {days: 30, max_size: 10 GiB}", "keep: {days: 1}"),
    ("redaction.outgoing", "redaction: {{{}}}", "outgoing: {mode: off}", "outgoing: {mode: block}"),
    ("redaction.rules", "redaction: {{{}}}", "rules: [builtin]", "rules: [builtin, x.toml]"),
    ("redaction.strings.*.keyring", "redaction: {{{}}}", "strings: []", "strings: [{keyring: a/b}]"),
    ("catalogue.ttl", "catalogue: {{{}}}", "ttl: 300", "ttl: 1"),
    ("logs.folder", "logs: {{{}}}", "folder: data/logs", "folder: elsewhere"),
    ("logs.keep_days", "logs: {{{}}}", "keep_days: 30", "keep_days: 1"),
    ("logs.max_size", "logs: {{{}}}", "max_size: 100 MiB", "max_size: 1 MiB"),
    ("state.url", "state: {{{}}}", "url: sqlite:data/state.db", "url: redis://h"),
]


def test_every_setting_of_the_table_is_tried() -> None:
    """The cases below are those of the table."""
    assert [path for path, *_ in SETTINGS] == list(NOT_YET)


@pytest.mark.parametrize(("path", "wrap", "default", "other"), SETTINGS)
def test_what_does_nothing_yet_takes_its_default_only(tmp_path: Path, path: str, wrap: str, default: str, other: str) -> None:
    """The default may be written out; anything else is refused with the setting's path, and what it waits for."""
    file = tmp_path / "t.yml"
    file.write_text(wrap.format(default))
    load(file, {})
    file.write_text(wrap.format(other))
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    place = path.replace("upstreams.*", "upstreams.a").replace("*", "0")
    assert str(caught.value).startswith(f"{file}: {place} (line ")
    assert f"is not available yet (it waits for {NOT_YET[path]}); " in str(caught.value)
