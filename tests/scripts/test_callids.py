"""scripts/callids.py: the end of an id is enough."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
import pytest

from addons.storage.database import open_reader
from addons.storage.store import Store
from scripts.callids import whole_id
from tests.storage.support import stored_call


def test_an_end_that_only_one_call_has_is_that_call(tmp_path: Path) -> None:
    """With or without the sign before it; a short one and an unknown one stay what they are; an end of two is told with both."""
    one, two = "01JD3V8Y6QXKTR0ZB5N4MAAAAA", "01JD3V8Y6QXKTR0ZB5N5MAAAAA"
    with closing(Store(tmp_path / "t.db")) as store:
        store.write([stored_call(one), stored_call(two)])
    with closing(open_reader(tmp_path / "t.db")) as captures:
        assert whole_id(captures, "…N4MAAAAA") == whole_id(captures, "n4maaaaa") == whole_id(captures, one) == one
        with pytest.raises(click.ClickException, match=f"several calls end with maaaaa: {two}, {one}"):
            whole_id(captures, "maaaaa")
        for given in ("4MA", "NOSUCHEND"):
            assert whole_id(captures, given) == given
