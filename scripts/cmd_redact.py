"""Masks the secrets in a text: stdin → stdout."""

from __future__ import annotations

import codecs
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
from scripts.running import load_config

BLOCK_BYTES = 1024 * 1024
WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # UTF-32-LE's begins with the first
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
@click.option("--by-form", is_flag=True, help="Look for forms alone: configured keys and strings are not read.")
def command(*, config: Path | None, profile: str, jsonl: bool, by_form: bool) -> None:
    """Masks the secrets in a text: stdin → stdout.

    By the rules that redaction.rules names, the strings of redaction.strings, and the configured keys. A masked secret is `***` and, where
    it is long enough, its last four characters.
    """
    scanner = scanner_of(config, profile, by_form=by_form)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    for piece in (redacted_lines if jsonl else redacted_text)(scanner, source):
        target.write(piece)
    target.flush()


def scanner_of(path: Path | None, profile: str, *, by_form: bool = False) -> Scanner:
    """The scanner of the configuration. Raises ClickException, also where a value that is to be looked for can't be had."""
    try:
        settings = load_config(path, secrets=not by_form)
    except click.ClickException as error:
        if by_form:
            raise
        load_config(path)  # raises what is wrong with the file itself
        raise click.ClickException(f"{error.message}; --by-form goes on without the configured keys and strings") from error
    keys = [secret.value for found in settings.secrets.values() for secret in found]
    strings = [secret.value for secret in settings.exact_strings]
    try:
        return make_scanner(profile, settings.redaction.rules, [*keys, *strings])
    except RuleError as error:
        raise click.ClickException(str(error)) from error


def redacted_lines(scanner: Scanner, lines: BinaryIO) -> Iterator[bytes]:
    """One line of JSON for each, with whatever else it holds; empty ones are left out. Raises ClickException where one has no text."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            entry = _entry_of(line, number)
            text = entry["text"]
            data = text.encode("utf-8", "surrogatepass")
            findings = scanner.find(data)
            clean = masked(data, findings).decode("utf-8", "surrogatepass") if findings else text
            yield json.dumps({**entry, "text": clean, "findings": list(_told(data, findings))}).encode() + b"\n"


def _entry_of(line: bytes, number: int) -> dict[str, Any]:
    try:
        entry: Any = json.loads(line)
    except ValueError as error:  # broken JSON, or no UTF-8
        raise click.ClickException(f"line {number}: no JSON: {error}") from error
    except RecursionError as error:
        raise click.ClickException(f"line {number}: nested too deeply") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        raise click.ClickException(f'line {number}: no {{"text": "…"}}')
    return entry


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
    """The text with its secrets masked, in pieces, with no more than some blocks in memory. Raises ClickException for UTF-16 and UTF-32."""
    waiting = b""
    while block := source.read(BLOCK_BYTES):
        if not waiting and block.startswith(WIDE_MARKS):
            raise click.ClickException("the text is in UTF-16 or UTF-32, where nothing is found; convert it: iconv -f UTF-16 -t UTF-8")
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
