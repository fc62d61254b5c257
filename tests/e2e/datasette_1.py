"""An environment with the newest Datasette, pre-releases included, made with uv below `.tools/` and kept there by its version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools"
PYTHON = f"py{sys.version_info.major}.{sys.version_info.minor}"
UNUSED = {"datasette", "mitmproxy", "tiktoken"}
"""Of the project's own dependencies: the first is installed in another version, `browse` imports none of the others."""

ROOTS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
RESOLVE_S, INSTALL_S = 30, 120
PLUGIN = {
    "METADATA": "Metadata-Version: 2.1\nName: turnpike\nVersion: 0\n",
    "entry_points.txt": "[datasette]\nturnpike = addons.views\n",
}
"""What pip would write for the plugin to be found; the project itself is found in the folder where the process starts."""


class Unavailable(Exception):
    """The environment cannot be made here; the text says why."""


def environment() -> Path:
    """Its Python. Raises Unavailable where there is no uv, or neither an index nor an environment from before."""
    uv = _uv()
    try:
        version = _newest(uv)
    except (subprocess.SubprocessError, OSError) as error:
        told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        kept = sorted(TOOLS.glob(f"datasette-1*-{PYTHON}"))
        if not kept:
            raise Unavailable(f"no package index could be reached: {told[-1] if told else error}") from error
        return kept[-1] / "bin" / "python"
    place = TOOLS / f"datasette-{version}-{PYTHON}"
    wanted = [*_requirements(), f"datasette=={version}"]
    if _contents(place) != "\n".join(wanted):
        _make(uv, place, wanted)
    return place / "bin" / "python"


def _uv() -> str:
    for candidate in ("uv", str(TOOLS / "uv" / "bin" / "uv")):  # the first may be a version manager's shim that fails
        if (found := shutil.which(candidate)) and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return found
    raise Unavailable("there is no uv, neither on PATH nor in .tools")


def _newest(uv: str) -> str:
    command = [uv, "pip", "compile", "-", "--quiet", "--no-deps", "--no-header", "--no-annotate", "--python", sys.executable]
    done = _run([*command, "--prerelease", "allow"], RESOLVE_S, given="datasette>=1.0a1")
    found = re.search(r"^datasette==(\S+)", done.stdout, flags=re.MULTILINE)
    if not found:
        raise Unavailable(f"uv told no version of datasette: {done.stdout!r}")
    return found[1]


def _requirements() -> list[str]:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    return [line for line in declared if re.split(r"[<>=!~;\[ ]", line)[0].lower() not in UNUSED]


def _contents(place: Path) -> str | None:
    listed = place / "made-of.txt"
    return listed.read_text(encoding="utf-8") if listed.is_file() else None


def _make(uv: str, place: Path, wanted: list[str]) -> None:
    """In a folder of its own first: another run of the tests may be making the same."""
    fresh = place.with_name(f"{place.name}-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    _run([uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(fresh)], INSTALL_S)
    python = fresh / "bin" / "python"
    _run([uv, "pip", "install", "--quiet", "--prerelease", "if-necessary-or-explicit", "--python", str(python), *wanted], INSTALL_S)
    (site,) = fresh.glob("lib/python*/site-packages")
    (site / "turnpike-0.dist-info").mkdir()
    for name, text in PLUGIN.items():
        (site / "turnpike-0.dist-info" / name).write_text(text, encoding="utf-8")
    (fresh / "made-of.txt").write_text("\n".join(wanted), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    try:
        fresh.rename(place)
    except OSError:  # the other run was first
        shutil.rmtree(fresh)


def _run(command: list[str], timeout_s: float, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Packages come from where ./scripts/setup gets them: the system's roots of trust, and pip's index where one is named."""
    env = dict(os.environ)
    if index := env.get("PIP_INDEX_URL"):
        env.setdefault("UV_DEFAULT_INDEX", index)
    if any(Path(roots).is_file() for roots in ROOTS):
        env.setdefault("UV_SYSTEM_CERTS", "1")
    return subprocess.run(command, cwd=ROOT / "tests", env=env, input=given, capture_output=True, text=True, timeout=timeout_s, check=True)
