"""What `turnpike keys` must not take as arguments: a key, and the vault's passphrase. Asked for unseen, or read from a pipe."""

from __future__ import annotations

import os
import sys

import click

from addons.config import ROOT, Config
from addons.keysources import SourceError, Sources, unusable
from addons.keyvault import VaultFile


def sources_of(config: Config) -> Sources:
    """Where the configuration's values come from; on a terminal the vault's passphrase may be typed in."""
    return Sources(os.environ, ROOT, config.vault, _ask if sys.stdin.isatty() else None)


def passphrase_of(config: Config, file: VaultFile) -> str:
    """The vault's, twice where there is no vault yet and it is typed in. Raises ClickException."""
    ask = (_ask if file.exists() else _ask_new) if sys.stdin.isatty() else None
    try:
        return Sources(os.environ, ROOT, config.vault, ask).passphrase()
    except SourceError as error:
        raise click.ClickException(f"the vault needs its passphrase: {error}") from error


def read_key(name: str) -> str:
    """From the terminal, hidden, or else all of the input; blanks around it are taken off. Raises ClickException for what is no key."""
    try:
        given = click.prompt(f"Key {name}", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read()
    except UnicodeDecodeError as error:
        raise click.ClickException("the key is no text; nothing was changed") from error
    key = str(given).strip()
    if not key:
        raise click.ClickException("the key is empty; nothing was changed")
    if unusable(key):
        raise click.ClickException("the key holds a blank, a line break or another sign that no key has; nothing was changed")
    return key


def _ask(reason: str) -> str:
    click.echo(reason, err=True)
    return str(click.prompt("Passphrase of the vault", hide_input=True, err=True))


def _ask_new(reason: str) -> str:
    click.echo(f"{reason}; there is no vault yet, so choose one now", err=True)
    return str(click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True))
