"""The shipped ranks are tiktoken's own, loaded once, without the network, and off the event loop."""

from __future__ import annotations

import base64
import hashlib
import importlib
import logging
import lzma
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from addons import tokenizer
from addons.tokenizer import ENCODINGS, FOLDER, Tokenizer, encoding, ranks

TIKTOKEN_SHA256 = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
"""Of its own text format (tiktoken_ext/openai_public.py)."""


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_ranks_are_those_of_tiktoken(name: str) -> None:
    """Written as tiktoken's own files are (base64, rank), they have its SHA-256."""
    found = ranks(lzma.decompress((FOLDER / f"{name}.xz").read_bytes()))
    text = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in found.items())
    assert hashlib.sha256(text).hexdigest() == TIKTOKEN_SHA256[name]


def test_the_patterns_are_those_of_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is cut as the installed tiktoken cuts it."""
    openai_public = importlib.import_module("tiktoken_ext.openai_public")  # has no types; its functions would download but for the patch
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_args, **_options: {})
    for name, found in ENCODINGS.items():
        assert getattr(openai_public, name)()["pat_str"] == found.pattern


@pytest.mark.parametrize(("name", "expected"), [("o200k_base", [24912, 2375]), ("cl100k_base", [15339, 1917])])
def test_text_is_encoded_as_openai_does(name: str, expected: list[int]) -> None:
    """`hello world`, as OpenAI's cookbook shows it."""
    assert Tokenizer()(name).encode_ordinary("hello world") == expected


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading opens no connection."""
    monkeypatch.setattr(socket.socket, "connect", pytest.fail)
    assert Tokenizer()("cl100k_base").encode_ordinary("text")


def test_an_encoding_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when several threads ask at the same moment; all get the same."""
    names, together, second = [], threading.Barrier(4), threading.Event()

    def load(name: str, file: Path) -> object:
        names.append((name, file.name))
        if len(names) > 1:
            second.set()
        second.wait(0.2)  # for a second one, that should not come
        return object()

    monkeypatch.setattr(tokenizer, "encoding", load)
    asked = Tokenizer()

    def ask(_: int) -> object:
        together.wait(5)
        return asked("o200k_base")

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(ask, range(4)))
    assert names == [("o200k_base", "o200k_base.xz")]
    assert len({id(one) for one in found}) == 1


@pytest.mark.parametrize("content", [None, b"no xz", lzma.compress(b"\x01a\x01b"), lzma.compress(b"")])
def test_a_damaged_file_is_refused_and_said_once(content: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Missing, damaged, or with other ranks than tiktoken's: a LookupError each time, one line in the log."""
    if content is not None:
        (tmp_path / "o200k_base.xz").write_bytes(content)
    broken = Tokenizer(tmp_path)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(LookupError, match="o200k_base"):
                broken("o200k_base")
    assert len(caplog.records) == 1


def test_the_ranks_are_not_kept_twice() -> None:
    """The encoder has its own copy of them."""
    made = encoding("cl100k_base", FOLDER / "cl100k_base.xz")
    assert not made._mergeable_ranks
    assert made.encode_ordinary("still works")
