"""A file to import as plain bytes that are not held in memory: mapped, and decompressed into a temporary file where it was compressed."""

from __future__ import annotations

import gzip
import mmap
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedReader
from pathlib import Path
from typing import IO

from scripts.importing.entry import UnreadableFile

Plain = bytes | mmap.mmap

GZIP = b"\x1f\x8b"
ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # RFC 1950 §2.2 with the usual window: mitmproxy's `.zhar`
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """`digest` is of the plain content, so that a file is known again under another name, or compressed."""

    path: Path
    content: Plain
    digest: bytes


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The file's plain content. Raises UnreadableFile."""
    with ExitStack() as stack:
        try:
            plain = _plain(stack.enter_context(path.open("rb")), stack)
            content = _mapped(plain, stack)
        except OSError as error:  # a damaged gzip is one too
            raise UnreadableFile(error.strerror or str(error)) from error
        except (zlib.error, EOFError) as error:
            raise UnreadableFile(f"compressed, and damaged: {error}") from error
        yield Source(path, content, sha256(content).digest())


def _plain(file: BufferedReader, stack: ExitStack) -> IO[bytes]:
    """The file itself, or a copy of it on disk where it is compressed or can't be mapped (a pipe)."""
    start = file.peek(2)[:2]
    is_compressed = start == GZIP or start in ZLIB
    if not is_compressed and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 # the stack closes it
    if start == GZIP:
        with gzip.open(file) as unpacked:
            shutil.copyfileobj(unpacked, copy, PIECE_BYTES)
    elif is_compressed:
        _inflate(file, copy)
    else:
        shutil.copyfileobj(file, copy, PIECE_BYTES)
    copy.flush()
    return copy


def _inflate(file: IO[bytes], copy: IO[bytes]) -> None:
    inflater = zlib.decompressobj()
    while piece := file.read(PIECE_BYTES):
        copy.write(inflater.decompress(piece))
    copy.write(inflater.flush())
    if not inflater.eof:
        raise EOFError("its end is missing")


def _mapped(file: IO[bytes], stack: ExitStack) -> Plain:
    if os.fstat(file.fileno()).st_size == 0:  # what is empty can't be mapped
        return b""
    return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
