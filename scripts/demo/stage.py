"""What a demo plays on: its folder, its configuration, keys made at run time, a provider that stands for all.

Nothing of it touches the user's own: the CA, the database and the configuration are the demo's.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from addons.config import ROOT, Config
from scripts.demo.wire import ANTHROPIC, GEMINI, OPENAI
from scripts.running import load_config

FOLDER = ROOT / "data" / "demo"
KEYS_EACH = 2
KEY_FORMS = {"openai": "sk-proj-{}", "anthropic": "sk-ant-api03-{}", "gemini": "AIza{}"}
"""Upstream → what its keys look like; ollama wants none."""


@dataclass(frozen=True, slots=True)
class Stage:
    """`folder` stays for browsing; `temporary` holds the configuration and the keys, and goes with the demo. Of several demos
    at once only the first may have the usual ports: two that look for a free port at the same time would find the same."""

    folder: Path
    temporary: Path
    is_first: bool = True

    @property
    def database(self) -> Path:
        return self.folder / "turnpike.db"

    @property
    def confdir(self) -> Path:
        """mitmproxy's folder, so that no CA is put in the user's home."""
        return self.folder / "mitmproxy"

    def configure(self, provider_url: str, host: str, port: int) -> Config:
        """Write and load the demo's configuration: the providers' real hosts, their calls going to `provider_url`."""
        keys = {name: [{"file": str(self._make_key(name, form, n))} for n in range(KEYS_EACH)] for name, form in KEY_FORMS.items()}
        upstreams: dict[str, dict[str, Any]] = {
            "openai": {"base_url": f"{provider_url}/v1", "hosts": [OPENAI], "default": True, "rotation": "round_robin"},
            "anthropic": {"base_url": provider_url, "hosts": [ANTHROPIC]},
            "gemini": {"base_url": provider_url, "hosts": [GEMINI]},
            "ollama": {"base_url": provider_url, "kind": "local"},
        }
        document = {
            "version": 1,
            "proxy": {"host": host, "port": port},
            "upstreams": {name: {"provider": name, **fields, "keys": keys.get(name, [])} for name, fields in upstreams.items()},
            "capture": {"database": str(self.database)},
            "state": {"url": f"sqlite:{self.temporary / 'state.db'}"},
            "logs": {"level": "warning", "folder": str(self.temporary / "logs")},
        }
        file = self.temporary / "turnpike.yml"
        file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))  # JSON is YAML
        return load_config(file, clean_environment(), secrets=True)

    def _make_key(self, upstream: str, form: str, n: int) -> Path:
        file = self.temporary / f"{upstream}-{n}.key"
        file.touch(mode=0o600)
        file.write_text(form.format(secrets.token_hex(20)))
        return file


@contextmanager
def open_stage() -> Iterator[Stage]:
    """A stage with no calls in its database. A second demo beside the first has a folder of its own."""
    for n in count(1):
        folder = FOLDER if n == 1 else FOLDER.with_name(f"{FOLDER.name}-{n}")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:  # released with the process, whatever its end
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            with tempfile.TemporaryDirectory(prefix="turnpike-demo-") as temporary:
                for old in folder.glob("turnpike.db*"):
                    old.unlink()
                yield Stage(folder, Path(temporary), is_first=n == 1)
            return


def clean_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment without the user's own Turnpike settings, which are not meant for a demo."""
    return {name: value for name, value in environ.items() if not name.startswith("TURNPIKE_")}


def shown(path: Path) -> str:
    """A path as it is best typed: from the working folder where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
