"""Lists and tests the configured keys, and keeps keys in an encrypted file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from addons.config import Config
from addons.config_errors import mask_if_key
from addons.config_types import is_vault_name
from addons.core.keyformats import misfit
from addons.core.providers import PROVIDER_NAMES
from addons.core.vaultformat import VaultError
from addons.keysources import Secret, SourceError
from addons.keyvault import VaultFile
from scripts.keyprompts import passphrase_of, read_key, sources_of
from scripts.keytable import HEADINGS, columns, listed_keys, shown_hint, unused, users_of
from scripts.progress import progress
from scripts.running import load_config, running_proxy

FIRST_ERROR_STATUS = 400

EPILOG = """\b
Examples:
  turnpike keys add openai-main           # asks for the key, and keeps it in data/keys.vault
  turnpike keys list
  turnpike keys test openai
  turnpike keys reset openai              # use its keys again at once, whatever cools
"""
ADD_EPILOG = """\b
Examples:
  turnpike keys add openai-main --provider openai
  pass show openai | turnpike keys add openai-main
"""

config_option = click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration; it says where the vault is.")


@click.group("keys", epilog=EPILOG)
def command() -> None:
    """Lists and tests the configured keys, and keeps keys in an encrypted file, the vault.

    A key in the vault is named in the configuration as {vault: NAME}. The vault's passphrase comes from where vault.passphrase says
    (TURNPIKE_VAULT_PASSPHRASE); on a terminal it is asked for where that gives none. Of a key never more is shown than its
    last four characters.
    """


@command.command("add", epilog=ADD_EPILOG)
@config_option
@click.option(
    "--provider", type=click.Choice(PROVIDER_NAMES), metavar="PROVIDER", help="Whose key it is, to see whether it looks like one."
)
@click.option("--force", is_flag=True, help="Replace the key that has this name.")
@click.argument("name")
def add(*, config: Path | None, provider: str | None, force: bool, name: str) -> None:
    """Puts a key into the vault, under NAME. The first one makes the file.

    The key is asked for without being shown or, where the input is no terminal, read from it.
    """
    if not is_vault_name(name):
        raise click.UsageError(f"{mask_if_key(name)!r} is no name for a key; use letters, digits and . _ - @, never the key itself")
    settings = load_config(config)
    file = VaultFile(settings.vault.file)
    passphrase = passphrase_of(settings, file)

    def refuse(keys: Iterable[str]) -> None:
        if name in keys and not force:
            raise click.ClickException(f"{file.path} has a key {name} already; replace it with --force, or choose another name")

    if file.exists():
        refuse(_read(file, passphrase))
    key = read_key(name)

    def put(keys: dict[str, str]) -> None:
        refuse(keys)  # once more: another `turnpike keys add` may have been quicker
        keys[name] = key

    for problem in _misfits(settings, name, provider, key):
        click.echo(f"warning: the key {problem}; is it the right one?", err=True)
    _change(file, passphrase, put)
    click.echo(f"{name} ({shown_hint(Secret(key, name))}) is in {file.path}")
    if not users_of(settings, name):
        click.echo(f"to use it, write under the keys: of an upstream: - {{vault: {name}}}")


@command.command("remove", epilog="Example: turnpike keys remove openai-old")
@config_option
@click.argument("name")
def remove(*, config: Path | None, name: str) -> None:
    """Takes the key NAME out of the vault."""
    settings = load_config(config)
    file = VaultFile(settings.vault.file)
    if not file.exists():
        raise click.ClickException(f"there is no vault {file.path}")

    def take(keys: dict[str, str]) -> None:
        if keys.pop(name, None) is None:
            raise click.ClickException(f"the vault holds no {mask_if_key(name)}; it holds {', '.join(sorted(keys)) or 'nothing'}")

    _change(file, passphrase_of(settings, file), take)
    click.echo(f"{name} is no longer in {file.path}")
    for user in users_of(settings, name):
        click.echo(f"warning: {user} still names it; take it out there, or the configuration can't be loaded", err=True)


@command.command("list", epilog="Example: turnpike keys list")
@config_option
def list_keys(*, config: Path | None) -> None:
    """Lists every configured key. Also what the vault holds that nothing names.

    Shown are where it comes from and its last four characters. A key that can't be had here (variables may be set in the proxy's
    shell alone) is listed with the reason. Ends with 1 when the vault can't be opened.
    """
    settings = load_config(config)
    sources = sources_of(settings)
    keys = list(listed_keys(settings, sources))
    if keys:
        _echo_table([HEADINGS, *(key.row for key in keys)])
    else:
        click.echo(f"no upstream in {settings.source} has keys")
    if not VaultFile(settings.vault.file).exists():
        return
    try:
        idle = unused(settings, sources)
    except SourceError as error:
        if any(source.vault for source in settings.sources):
            raise click.ClickException(str(error)) from error
        click.echo(f"note: {settings.vault.file} is there, but nothing names it, and it can't be opened: {error}", err=True)
        return
    if idle:
        click.echo(f"in {settings.vault.file}, but named nowhere: {', '.join(f'{key.label} ({shown_hint(key)})' for key in idle)}")


@command.command("test", epilog="Example: turnpike keys test openai anthropic")
@config_option
@click.option(
    "--timeout", "timeout_s", default=10.0, show_default=True, type=click.FloatRange(min=0, min_open=True), help="Seconds per key."
)
@click.argument("upstreams", nargs=-1, metavar="[UPSTREAM…]")
def test(*, config: Path | None, timeout_s: float, upstreams: tuple[str, ...]) -> None:
    """Asks providers whether the keys are alive. One call per key, that costs nothing: the list of models, where there is one.

    alive · refused (401, 403) · limited (429, out of credit) · unreachable · missing (the key can't be had here) · unknown.
    Ends with 1 when a key is refused, unreachable or missing.
    """
    settings = load_config(config)
    for name in upstreams:
        if name not in settings.upstreams:
            raise click.UsageError(f"{mask_if_key(name)} is no upstream; known are {', '.join(settings.upstreams) or 'none'}")
    keys = [key for key in listed_keys(settings, sources_of(settings), upstreams) if key.counts]
    if not keys:
        click.echo("there are no keys to test")
        return
    from scripts.keyprobe import probe  # noqa: PLC0415 # httpx takes a moment, which the others need not wait for

    with progress("keys", len(keys)) as advance:
        results = asyncio.run(probe(keys, settings.upstreams, timeout_s, advance))
    rows = [(found.key.upstream, found.key.label, found.key.hint, found.result, found.note) for found in results]
    _echo_table([("upstream", "key", "hint", "result", "note"), *rows])
    if any(found.dead for found in results):
        raise click.exceptions.Exit(1)


@command.command("reset", epilog="Example: turnpike keys reset openai")
@config_option
@click.option("--proxy", metavar="URL", help="The running proxy, where it is not at the configured address.")
@click.argument("upstreams", nargs=-1, metavar="[UPSTREAM…]")
def reset(*, config: Path | None, proxy: str | None, upstreams: tuple[str, ...]) -> None:
    """Lets keys that cool be used again at once. Of these upstreams or of all, in the running proxy; also closes breakers."""
    settings = load_config(config)
    address = running_proxy(settings, proxy)
    import httpx  # noqa: PLC0415 # as above

    url = f"{address.url}{settings.proxy.prefix}/v1/quota-stats/reset"
    try:
        answer = httpx.post(url, params={"upstream": list(upstreams)}, timeout=10, trust_env=False)
        told = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise click.ClickException(f"the proxy at {address.url} gave no answer: {type(error).__name__}") from error
    if answer.status_code >= FIRST_ERROR_STATUS:
        raise click.ClickException(str(told.get("error", {}).get("message", answer.status_code)))
    click.echo(f"reset: {', '.join(told['reset']) or 'nothing'}")


def _misfits(settings: Config, name: str, provider: str | None, key: str) -> Iterable[str]:
    """What is odd about the key for the provider that is named, else for the upstreams that use it."""
    users = [upstream for upstream in settings.upstreams.values() if name in (source.vault for source in upstream.keys)]
    found = [misfit(provider, key)] if provider else [misfit(user.provider, key, user.base_url, user.hosts) for user in users]
    return dict.fromkeys(filter(None, found))


def _read(file: VaultFile, passphrase: str) -> dict[str, str]:
    try:
        return file.read(lambda: passphrase)
    except VaultError as error:
        raise click.ClickException(str(error)) from error


def _change(file: VaultFile, passphrase: str, edit: Callable[[dict[str, str]], None]) -> None:
    try:
        file.change(passphrase, edit)
    except VaultError as error:
        raise click.ClickException(str(error)) from error


def _echo_table(rows: list[tuple[str, ...]]) -> None:
    for line in columns(rows):
        click.echo(line)
