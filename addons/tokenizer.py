"""tiktoken's encodings from the ranks that ship with the project (`config/tokenizer/`), so that nothing is ever downloaded.

Loading takes 0.1 to 0.2 s and some 45 MB for o200k, 25 MB for cl100k: done on first need, once, and never on the event loop
(the writer's thread, or a thread of an endpoint's own).
"""

from __future__ import annotations

import hashlib
import logging
import lzma
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from addons.config_types import ROOT
from addons.core.tokens import Encoder

if TYPE_CHECKING:
    import tiktoken

logger = logging.getLogger(__name__)

FOLDER = ROOT / "config" / "tokenizer"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How text is cut before it is encoded (tiktoken's `openai_public.py`), and the SHA-256 of the unpacked file of ranks."""

    pattern: str
    sha256: str


_CASED = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

ENCODINGS: Mapping[str, Encoding] = {
    "o200k_base": Encoding(
        "|".join(
            (
                rf"[^\r\n\p{{L}}\p{{N}}]?{_CASED[0]}*{_CASED[1]}+{_CASED[2]}",
                rf"[^\r\n\p{{L}}\p{{N}}]?{_CASED[0]}+{_CASED[1]}*{_CASED[2]}",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            )
        ),
        "bac143fe7fe950090c6e4ed9a2f80de5412a92495758b52becbbe5a7eea25ecb",
    ),
    "cl100k_base": Encoding(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        "6bfd43f7b31b50b645b3228413547e662af1ae4801e9b192b9791680a71d650c",
    ),
}


class Tokenizer:
    """Encoders by name, each loaded when it is first asked for; may be asked by several threads at once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._loaded: dict[str, Encoder | None] = {}

    def __call__(self, name: str) -> Encoder:
        """Raises LookupError where the file is missing or is not what it should be, which is logged once."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
        found = self._loaded[name]
        if found is None:
            raise LookupError(f"the token ranks of {name} could not be loaded")
        return found

    def _load(self, name: str) -> Encoder | None:
        try:
            return encoding(name, self._folder / f"{name}.xz")
        except (OSError, lzma.LZMAError, ValueError) as error:
            logger.error("no token counts are estimated with %s: %s", name, error)
            return None


def encoding(name: str, file: Path) -> tiktoken.Encoding:
    """An encoding from a file of ranks. Raises OSError, LZMAError, or ValueError for other content than tiktoken's own."""
    import tiktoken  # noqa: PLC0415 - only where something is counted

    packed = lzma.decompress(file.read_bytes())
    if hashlib.sha256(packed).hexdigest() != ENCODINGS[name].sha256:
        raise ValueError(f"{file.name} does not hold the ranks of {name}")
    found = ranks(packed)
    made = tiktoken.Encoding(name, pat_str=ENCODINGS[name].pattern, mergeable_ranks=found, special_tokens={})
    found.clear()  # the encoder has its own copy; this one is some 20 MB
    return made


def ranks(packed: bytes) -> dict[bytes, int]:
    """Token → rank: for every rank in order, one length byte and the token's bytes."""
    found: dict[bytes, int] = {}
    start, end = 0, len(packed)
    while start < end:
        stop = start + 1 + packed[start]
        found[packed[start + 1 : stop]] = len(found)
        start = stop
    return found
