"""Turns a source of keys or of exact strings (`env:`, `file:`) into values, which nothing prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from addons.config_errors import show

if TYPE_CHECKING:
    from addons.config import Source

_SHORTEST_HINTED = 12  # DESIGN §6: no key_hint for keys under 12 characters


class SourceError(ValueError):
    """A source that gives no usable value: what is wrong, and the remedy; never the value."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One value and where it came from. Only `value` tells it; repr and str do not. Lower `priority` is preferred."""

    value: str = field(repr=False)
    label: str
    weight: float = 1.0
    priority: int = 1

    @property
    def hint(self) -> str | None:
        """The last four characters; None for a value under 12, of which they would tell too much."""
        return self.value[-4:] if len(self.value) >= _SHORTEST_HINTED else None

    def __str__(self) -> str:
        return f"{self.label} (…{self.hint or ''})"


def resolve(source: Source, environ: Mapping[str, str], root: Path) -> tuple[Secret, ...]:
    """The values of a source, in order; relative files start at `root`.

    `env: NAME*` may give none. Raises SourceError: a variable that is unset, a file that is missing or unreadable,
    a value that is empty or, for keys, cannot stand in a header.
    """
    if source.env is not None:
        found = [(f"env {name}", environ[name]) for name in _variables(source.env, environ)]
    elif source.file is not None:
        found = [(f"file {source.file}", _read(root / source.file.expanduser(), source.file))]
    else:
        raise SourceError("keyrings are not available yet; use env: or file:")
    return tuple(_secret(label, text.strip(), source) for label, text in found)


def _variables(spec: str, environ: Mapping[str, str]) -> list[str]:
    """NAME, which must be set; or of NAME* those of NAME, NAME_1, NAME_2 … that are, in the order of the numbers."""
    if not spec.endswith("*"):
        if spec not in environ:
            raise SourceError(f"environment variable {spec} is not set; set it, or write {spec}* if it need not be")
        return [spec]
    name = re.escape(spec[:-1])
    numbered = [(int(found[1] or -1), key) for key in environ if (found := re.fullmatch(rf"{name}(?:_([0-9]+))?", key))]
    return [key for _, key in sorted(numbered)]


def _read(path: Path, written: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SourceError(f"{show(str(written), secret=True)}: no such file; name a file that holds the key") from None
    except UnicodeDecodeError:
        raise SourceError(f"file {written} is not text; it should hold one key") from None
    except OSError as error:
        shown = show(str(written), secret=True)
        raise SourceError(f"{shown} cannot be read: {error.strerror}; name a readable file that holds the key") from None


def _secret(label: str, value: str, source: Source) -> Secret:
    if not value:
        raise SourceError(f"{label} is empty; put a key in it, or take the entry out")
    if source.for_header and not re.fullmatch(r"[\x21-\x7e]+", value):
        raise SourceError(f"{label} holds a blank, a line break or another sign that no key has; it should hold one key alone")
    weight, priority = source.rank
    return Secret(value, label, weight, priority)
