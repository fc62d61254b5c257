"""The `turnpike` command: found as files, loaded when called, errors in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from scripts import cli

HELLO = '''"""Says hello.

More about it.
"""
import click


@click.command()
def command() -> None:
    """Says hello, at length."""
    click.echo("hello")
'''


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cli.FileCommands:
    """A group over a package of its own: one good command, and three that cannot be loaded in their own ways."""
    package = f"commands_{tmp_path.name}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "cmd_say_hello.py").write_text(HELLO)
    (folder / "cmd_lacking.py").write_text('"""Needs what is not there."""\nimport turnpike_has_no_such_module\n')
    (folder / "cmd_garbled.py").write_text("def (\n")
    (folder / "cmd_empty.py").write_text("")
    (folder / "helper.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return cli.FileCommands(folder=folder, package=package, help="For tests.")


def test_help_lists_every_file_without_importing_it(group: cli.FileCommands) -> None:
    """Help names each cmd_ file with its docstring's first line, broken ones too, and imports none."""
    result = CliRunner().invoke(group, ["--help"])
    assert result.exit_code == 0
    assert [line.split() for line in result.output.splitlines() if "hello" in line] == [["say-hello", "Says", "hello."]]
    assert "lacking" in result.output and "garbled" in result.output and "helper" not in result.output
    assert f"{group.package}.cmd_say_hello" not in sys.modules


def test_help_without_commands(tmp_path: Path) -> None:
    """A folder without commands still has its help."""
    assert CliRunner().invoke(cli.FileCommands(folder=tmp_path, package="none", help="x"), ["--help"]).exit_code == 0


def test_a_good_command_runs_beside_broken_ones(group: cli.FileCommands) -> None:
    """A broken neighbour does not keep a command from running."""
    assert CliRunner().invoke(group, ["say-hello"]).output == "hello\n"


@pytest.mark.parametrize("name", ["lacking", "garbled", "empty"])
def test_a_broken_command_says_so_in_one_line(group: cli.FileCommands, name: str) -> None:
    """A command whose file cannot be loaded exits 1 and names itself."""
    result = CliRunner().invoke(group, [name])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: `{name}` cannot be loaded") and result.output.count("\n") == 1


def test_an_unknown_command_is_wrong_usage(group: cli.FileCommands) -> None:
    """A name without a file exits 2."""
    assert CliRunner().invoke(group, ["nonsense"]).exit_code == 2


@pytest.mark.parametrize(
    ("raised", "status"),
    [(click.ClickException("no such call"), 1), (click.UsageError("which?"), 2), (KeyboardInterrupt(), 130), (EOFError(), 1)],
)
def test_errors_end_with_their_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: BaseException, status: int
) -> None:
    """Each end of a command has its exit status, and none shows a traceback."""

    @click.command()
    def command() -> None:
        raise raised

    monkeypatch.setattr(cli, "turnpike", command)
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == status
    assert "Traceback" not in capsys.readouterr().err


def test_a_command_names_its_own_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ctx.exit(n)` becomes the exit status of the process; a plain return is 0."""
    for given, status in ((3, 3), (None, 0)):
        monkeypatch.setattr(cli, "turnpike", click.Command("x", callback=lambda given=given: given))
        with pytest.raises(SystemExit) as ended:
            cli.main([])
        assert ended.value.code == status
