"""addons/views/call_files.py: what is linked is served as it is stored; the pages' own tests ask a real server for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from addons.storage.database import StoreError, open_reader
from addons.views.call_files import find_stored_image, stored_content
from tests.views.samples import call_id
from tests.views.talks import GIF, PNG, fill_talks


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = tmp_path_factory.mktemp("files") / "talks.db"
    fill_talks(path)
    with closing(open_reader(path)) as connection:
        yield connection


def test_images_by_their_number(captures: sqlite3.Connection) -> None:
    """Among the images of one side; what is no image, or is elsewhere, is not there."""
    found = [find_stored_image(captures, call_id(110), "request", number) for number in range(5)]
    assert found == [(PNG, "image/png"), (GIF, "image/gif"), None, None, None]
    assert find_stored_image(captures, call_id(110), "response", 0) == (PNG + b"2", "image/png")


def test_json_is_indented_where_it_stays_short(captures: sqlite3.Connection) -> None:
    """On demand; what is no JSON is as it was."""
    plain, pretty = (stored_content(captures, call_id(100), "request", form) for form in (False, True))
    assert (plain, pretty) == ((b'{"n": 100}', True), (b'{\n  "n": 100\n}', True))
    assert stored_content(captures, call_id(137), "request", True) == (b"\xff\x00\xfe", False)
    assert stored_content(captures, call_id(130), "request", True) is None


def test_where_there_is_no_body(captures: sqlite3.Connection) -> None:
    """Not there; a damaged one is told."""
    assert find_stored_image(captures, call_id(130), "request", 0) is None
    with pytest.raises(StoreError):
        find_stored_image(captures, call_id(133), "request", 0)
