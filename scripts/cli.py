"""`turnpike`: one command, whose subcommands are the files `scripts/cmd_*.py`.

`cmd_fake_provider.py` is `turnpike fake-provider`. Each file exposes `command: click.Command`, and its docstring's first
line is the text in `turnpike --help`, read without importing it: help stays quick, and a broken command breaks itself only.

Exit status: 0 done · 1 it failed (one line on stderr, raise `click.ClickException`) · 2 wrong usage · 130 interrupted.
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import click

PREFIX = "cmd_"
INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for a command ended by Ctrl-C


class FileCommands(click.Group):
    """A group whose commands are the files of one package, imported only when they are called."""

    def __init__(self, *, folder: Path, package: str, help: str) -> None:
        super().__init__(name="turnpike", help=help)
        self.modules = {path.stem.removeprefix(PREFIX).replace("_", "-"): path for path in sorted(folder.glob(f"{PREFIX}*.py"))}
        self.package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None when there is no such file; raises ClickException when its file cannot be imported."""
        path = self.modules.get(cmd_name)
        if path is None:
            return None
        try:
            command = getattr(importlib.import_module(f"{self.package}.{path.stem}"), "command", None)
        except (ImportError, SyntaxError) as error:
            raise click.ClickException(f"`{cmd_name}` cannot be loaded: {error}; ./scripts/setup completes an installation") from error
        if not isinstance(command, click.Command):
            raise click.ClickException(f"`{cmd_name}` cannot be loaded: {path.name} has no click command named `command`")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the files' docstrings."""
        if not self.modules:  # click refuses an empty list
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(path)) for name, path in self.modules.items()])


def summary(path: Path) -> str:
    """First line of the docstring of a Python file; empty when there is none or it cannot be parsed."""
    try:
        docstring = ast.get_docstring(ast.parse(path.read_bytes()))
    except SyntaxError:  # calling the command tells what is wrong; the others are still listed
        return ""
    return docstring.splitlines()[0] if docstring else ""


turnpike = FileCommands(
    folder=Path(__file__).parent,
    package="scripts",
    help="""LLM traffic interceptor: every call routed, metered, cleaned of secrets and stored.

    Example: turnpike run --demo""",
)
click.version_option(package_name="turnpike", message="turnpike %(version)s")(turnpike)


def main(arguments: list[str] | None = None) -> None:
    """Run `turnpike` and end the process with its exit status; errors are one line on stderr, never a traceback.

    A reader that went away (`turnpike export | head`) ends it quietly: click does that inside `Group.main`.
    """
    try:
        result = turnpike.main(arguments, prog_name="turnpike", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort as error:
        sys.exit(INTERRUPTED if isinstance(error.__cause__, KeyboardInterrupt) else 1)
    sys.exit(result if isinstance(result, int) else 0)
