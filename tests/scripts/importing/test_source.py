"""Files as plain, mapped bytes."""

from __future__ import annotations

import gzip
import os
import threading
import zlib
from pathlib import Path

import pytest

from scripts.importing.entry import UnreadableFile
from scripts.importing.source import opened

CONTENT = b'{"log": {}}' * 1000


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress], ids=["plain", "gzip", "zhar"])
def test_compressed_or_not_the_content_is_the_same(tmp_path: Path, pack: object) -> None:
    """And so is its digest, by which a file is known again."""
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(CONTENT)
    packed.write_bytes(pack(CONTENT))  # type: ignore[operator]
    with opened(plain) as one, opened(packed) as other:
        assert other.content[:] == CONTENT
        assert other.digest == one.digest


def test_an_empty_file_and_a_pipe_can_be_read(tmp_path: Path) -> None:
    """Neither can be mapped as it is."""
    (tmp_path / "empty").touch()
    with opened(tmp_path / "empty") as source:
        assert source.content[:] == b""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=(CONTENT,))
    writing.start()
    with opened(pipe) as source:
        assert source.content[:] == CONTENT
    writing.join()


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Missing, a folder, compressed and cut."""
    (tmp_path / "cut.zhar").write_bytes(zlib.compress(CONTENT)[:-9])
    (tmp_path / "cut.gz").write_bytes(gzip.compress(CONTENT)[:-9])
    for name in ("missing", ".", "cut.zhar", "cut.gz"):
        with pytest.raises(UnreadableFile), opened(tmp_path / name):
            pass
