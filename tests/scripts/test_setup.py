"""`scripts/setup` on machines of many kinds: a uv and Pythons of the test's own stand for what would be downloaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TOOLS = ("sh", "cat", "ls", "dirname", "cksum", "mkdir", "rm", "mv", "head", "ln")

UV = """#!/bin/sh
[ "$1" = --version ] || echo "$@" >>"{log}"
[ "$1" != venv ] || {{ mkdir -p .venv/bin && echo made >.venv/pyvenv.cfg && ln -s "{python}" .venv/bin/python; }}
"""
BROKEN = "#!/bin/sh\necho 'not selected' >&2\nexit 127\n"


class Machine:
    """A clone in a folder with a space in its name, an empty HOME, and a PATH with little more than a shell."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "my clone"
        self.bin = folder / "bin"
        self.home = folder / "home"
        self.log = folder / "uv.log"
        for made in (self.project / "scripts", self.bin, self.home):
            made.mkdir(parents=True)
        for name in ("requirements.lock", "pyproject.toml", "scripts/setup", "scripts/uv.requirements"):
            shutil.copy(ROOT / name, self.project / name)
        for tool in TOOLS:
            self.link(tool, tool)
        if shutil.which("flock"):
            self.link("flock", "flock")

    def link(self, name: str, target: str) -> None:
        found = shutil.which(target)
        assert found, target
        (self.bin / name).symlink_to(found)

    def script(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def add_uv(self) -> None:
        self.script(self.bin / "uv", UV.format(log=self.log, python=sys.executable))

    def setup(self, *folders: Path, home: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": ":".join(map(str, (self.bin, *folders))), "HOME": str(self.home) if home is None else home}
        return subprocess.run([self.project / "scripts" / "setup"], env=environment, cwd="/", capture_output=True, text=True, check=False)

    def uv_calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def real_python(folder: Path, name: str = "python3") -> Path:
    """A folder with this Python under that name."""
    folder.mkdir(parents=True)
    (folder / name).symlink_to(sys.executable)
    return folder


def test_without_python_and_uv_it_says_what_to_install(machine: Machine) -> None:
    """Neither uv nor a Python: exit 1 and a remedy on stderr, nothing on stdout."""
    ended = machine.setup()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "install Python 3.13" in ended.stderr


def test_a_second_start_is_silent_and_asks_nobody(machine: Machine, tmp_path: Path) -> None:
    """When nothing changed, the second start prints nothing and does not call uv."""
    machine.add_uv()
    python = real_python(tmp_path / "python")
    assert machine.setup(python).returncode == 0
    calls = machine.uv_calls()
    assert [call.split(" --")[0] for call in calls] == ["venv", "pip sync", "pip install"]
    again = machine.setup(python)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert machine.uv_calls() == calls


def test_a_changed_lock_is_installed_into_the_same_environment(machine: Machine, tmp_path: Path) -> None:
    """A changed lock means another installation, not another .venv."""
    machine.add_uv()
    python = real_python(tmp_path / "python")
    machine.setup(python)
    with (machine.project / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    machine.setup(python)
    assert [call.split(" --")[0] for call in machine.uv_calls()[3:]] == ["pip sync", "pip install"]


def test_a_moved_clone_gets_a_new_environment(machine: Machine, tmp_path: Path) -> None:
    """The commands in .venv name its folder: after a move it is made anew."""
    machine.add_uv()
    python = real_python(tmp_path / "python")
    machine.setup(python)
    machine.project = machine.project.rename(tmp_path / "moved")
    machine.setup(python)
    assert [call.split(" --")[0] for call in machine.uv_calls()[3:]] == ["venv", "pip sync", "pip install"]


@pytest.mark.parametrize("home", [None, ""], ids=["another HOME", "empty HOME"])
def test_a_python_that_pyenv_has_not_selected_is_found(machine: Machine, tmp_path: Path, home: str | None) -> None:
    """pyenv's shims fail for a version that is not selected; the version itself is found beside them."""
    machine.add_uv()
    for shim in ("python3", "python3.13", "python3.12"):
        machine.script(tmp_path / "pyenv" / "shims" / shim, BROKEN)
    real_python(tmp_path / "pyenv" / "versions" / "3.13.0" / "bin", "python3.13")
    assert machine.setup(tmp_path / "pyenv" / "shims", home=home).returncode == 0
    assert "/pyenv/versions/3.13.0/bin/python3.13" in machine.uv_calls()[0]


def test_with_uv_alone_python_is_left_to_uv(machine: Machine) -> None:
    """Without any Python uv is asked for one."""
    machine.add_uv()
    assert machine.setup().returncode == 0
    assert "--python 3.13" in machine.uv_calls()[0]


def test_uv_that_finds_no_python_is_an_error_with_a_remedy(machine: Machine) -> None:
    """When uv cannot make an environment either, exit 1 and the remedy."""
    machine.script(machine.bin / "uv", '#!/bin/sh\n[ "$1" = --version ]\n')
    ended = machine.setup()
    assert ended.returncode == 1
    assert "install Python 3.13" in ended.stderr


def test_a_failing_uv_shim_is_not_used(machine: Machine, tmp_path: Path) -> None:
    """A uv on PATH that cannot tell its version is passed over for one in .tools, which is not brought again."""
    machine.script(machine.bin / "uv", BROKEN)
    machine.script(machine.project / ".tools" / "uv" / "bin" / "uv", UV.format(log=machine.log, python=sys.executable))
    assert machine.setup(real_python(tmp_path / "python")).returncode == 0
    assert "pip sync" in machine.log.read_text()


@pytest.mark.skipif(not shutil.which("flock"), reason="two at once are kept apart by flock, which is not here")
def test_two_at_once_make_one_environment(machine: Machine, tmp_path: Path) -> None:
    """Two that start together both end well, and the work is done once."""
    machine.add_uv()
    python = real_python(tmp_path / "python")
    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda _: machine.setup(python).returncode, range(4)))
    assert ends == [0] * 4
    assert [call.split(" --")[0] for call in machine.uv_calls()] == ["venv", "pip sync", "pip install"]
