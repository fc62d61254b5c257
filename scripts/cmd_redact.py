"""Masks the secrets in a text: stdin → stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click

from addons.core.redaction.findings import Finding
from addons.core.redaction.masking import masked
from addons.core.redaction.ruleset import PROFILES, RuleError
from addons.core.redaction.scanner import Scanner
from addons.rulefiles import make_scanner
from scripts.running import config_with_secrets

BLOCK_BYTES = 1024 * 1024
HELD_BYTES = 64 * 1024
"""What is kept of a block for the next one: a secret over several lines (a private key) is seen whole if it is no longer."""

EPILOG = """\b
Examples:
  turnpike redact < server.log > clean.log
  git diff | turnpike redact --profile outgoing
  turnpike redact --jsonl < texts.jsonl       # {"text": …} → {"text": …, "findings": [{"rule", "start", "end"}]}
"""


@click.command("redact", epilog=EPILOG)
@click.option("--config", type=click.Path(path_type=Path), help="Turnpike's configuration: its rules, strings and keys.")
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="stored",
    show_default=True,
    help="stored: all that is masked before it is kept; outgoing: only what is sure enough to change a prompt.",
)
@click.option("--jsonl", is_flag=True, help='Each line is {"text": …}; findings are told with it, offsets in characters of the input.')
def command(*, config: Path | None, profile: str, jsonl: bool) -> None:
    """Masks the secrets in a text: stdin → stdout.

    By the rules that redaction.rules names, the strings of redaction.strings, and the configured keys. A masked secret is `***` and, where
    it is long enough, its last four characters.
    """
    scanner = scanner_of(config, profile)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    for piece in (redacted_lines if jsonl else redacted_text)(scanner, source):
        target.write(piece)
    target.flush()


def scanner_of(path: Path | None, profile: str) -> Scanner:
    """The scanner of the configuration. Raises ClickException."""
    settings = config_with_secrets(path)
    keys = [secret.value for found in settings.secrets.values() for secret in found]
    strings = [secret.value for secret in settings.exact_strings]
    try:
        return make_scanner(profile, settings.redaction.rules, [*keys, *strings])
    except RuleError as error:
        raise click.ClickException(str(error)) from error


def redacted_lines(scanner: Scanner, lines: BinaryIO) -> Iterator[bytes]:
    """One line of JSON for each; empty ones are left out. Raises ClickException for one that is no `{"text": …}`."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            text = _text_of(line, number)
            data = text.encode("utf-8", "surrogatepass")
            findings = scanner.find(data)
            clean = masked(data, findings).decode("utf-8", "surrogatepass") if findings else text
            yield json.dumps({"text": clean, "findings": list(_told(data, findings))}).encode() + b"\n"


def _text_of(line: bytes, number: int) -> str:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:  # broken JSON, or no UTF-8
        raise click.ClickException(f"line {number}: no JSON: {error}") from error
    except RecursionError as error:
        raise click.ClickException(f"line {number}: nested too deeply") from error
    text = entry.get("text") if isinstance(entry, dict) else None
    if not isinstance(text, str):
        raise click.ClickException(f'line {number}: no {{"text": "…"}}')
    return text


def _told(data: bytes, findings: Sequence[Finding]) -> Iterator[dict[str, str | int]]:
    """The findings with offsets in characters."""
    at = character = 0
    for found in findings:
        start = character + _length(data[at : found.start])
        character = start + _length(data[found.start : found.end])
        at = found.end
        yield {"rule": found.rule, "start": start, "end": character}


def _length(data: bytes) -> int:
    return len(data) if data.isascii() else len(data.decode("utf-8", "surrogatepass"))


def redacted_text(scanner: Scanner, source: BinaryIO) -> Iterator[bytes]:
    """The text with its secrets masked, in pieces, with no more than some blocks in memory."""
    waiting = b""
    while block := source.read(BLOCK_BYTES):
        waiting += block
        if len(waiting) > BLOCK_BYTES:
            findings = scanner.find(waiting)
            cut = _cut(waiting, findings)
            yield masked(waiting[:cut], [found for found in findings if found.end <= cut])
            waiting = waiting[cut:]
    yield masked(waiting, scanner.find(waiting))


def _cut(data: bytes, findings: Sequence[Finding]) -> int:
    """Up to where the text is settled: a line's end well before what is still to come, and in no finding."""
    cut = data.rfind(b"\n", 0, len(data) - HELD_BYTES) + 1 or len(data) - HELD_BYTES
    for found in findings:
        if found.start < cut < found.end:
            return found.start or found.end
    return cut
