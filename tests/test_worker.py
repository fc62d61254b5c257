"""Which of several processes this is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from addons.worker import VARIABLE, Worker, read_worker, told


def pipe_with(content: bytes) -> int:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return reading


def test_it_knows_what_it_was_told() -> None:
    """Once: the variable and the pipe are gone then."""
    key = bytes(range(32))
    fd = pipe_with(key)
    environ = {**told(2, 4, "abc", fd, Path("/run/x"))}
    assert read_worker(environ) == Worker(2, 4, "abc", key, Path("/run/x"))
    assert environ == {}
    with pytest.raises(OSError):
        os.fstat(fd)


def test_alone_it_is_the_only_one() -> None:
    """With a name and a key that nobody else has."""
    one, two = read_worker({}), read_worker({})
    assert one.is_alone and one.folder is None
    assert one.name != two.name and one.placeholder_key != two.placeholder_key


def test_the_key_is_in_no_variable_and_in_no_text() -> None:
    """Only in the pipe."""
    worker = Worker(1, 2, "abc", b"k" * 32, Path("x"))
    assert "kkk" not in repr(worker)


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '{"number": 1}', '{"number": 1, "count": 2, "run": "a", "key_fd": 9999, "folder": "x"}']
)
def test_nonsense_is_refused(text: str) -> None:
    """Rather than to go on as if alone, on a port that others share."""
    with pytest.raises(ValueError, match=f"{VARIABLE} is for `turnpike run --workers` to set"):
        read_worker({VARIABLE: text})


@pytest.mark.parametrize(("number", "key"), [(3, b"k" * 32), (0, b"k" * 32), (1, b"short")])
def test_what_can_not_be_is_refused(number: int, key: bytes) -> None:
    """A number beyond the count, a key that is cut."""
    with pytest.raises(ValueError, match=VARIABLE):
        read_worker({**told(number, 2, "abc", pipe_with(key), Path("x"))})
