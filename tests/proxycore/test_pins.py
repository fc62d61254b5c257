"""A replacement counts only for what was read, and can be taken back."""

from __future__ import annotations

import types
from collections.abc import Iterator

import pytest

from addons.proxycore.pins import Replacement, put_back, replace_all, source_digest


class Stock:
    """Stands for a class of mitmproxy's."""

    def told(self) -> str:
        return "stock"

    @staticmethod
    def static() -> str:
        return "stock"

    @property
    def asked(self) -> str:
        return "stock"


def ours(*_: object) -> str:
    return "ours"


@pytest.fixture
def group() -> Iterator[tuple[Replacement, ...]]:
    """All of them fit."""
    group = (
        Replacement(Stock, "told", source_digest(Stock.told), lambda self: "ours"),
        Replacement(Stock, "static", source_digest(Stock.static), staticmethod(ours)),
        Replacement(Stock, "asked", source_digest(vars(Stock)["asked"]), property(lambda self: "ours")),
    )
    yield group
    put_back([group])


def test_all_kinds_of_members_are_replaced_and_come_back(group: tuple[Replacement, ...]) -> None:
    """Twice is as good as once; `stock` is mitmproxy's own all the while."""
    before = [one.stock for one in group]
    for _ in range(2):
        assert replace_all([group]) == []
        assert (Stock().told(), Stock.static(), Stock().asked) == ("ours", "ours", "ours")
        assert [one.stock for one in group] == before
    put_back([group])
    assert (Stock().told(), Stock.static(), Stock().asked) == ("stock", "stock", "stock")


def test_a_group_in_which_one_differs_is_left_whole(group: tuple[Replacement, ...]) -> None:
    """Also where the one is not replaced, but read; groups do not depend on each other."""
    read = Replacement(Stock, "static", "0" * 16)
    assert replace_all([(group[0], read), (group[2],)]) == ["Stock.static"]
    assert (Stock().told(), Stock().asked) == ("stock", "ours")


def test_what_has_no_source_fits_nothing() -> None:
    """A digest of nothing would hold for everything that can't be read."""
    assert source_digest(len) == ""
    assert not Replacement(types.SimpleNamespace(len=len, __name__="built-in"), "len", "0" * 16).fits()


def test_what_is_gone_is_left(group: tuple[Replacement, ...]) -> None:
    """An upgrade may have taken it away: nothing is put in its place, and nothing fails."""
    gone = Replacement(Stock, "gone", None, ours)
    assert replace_all([(gone, group[0])]) == ["Stock.gone"]
    put_back([(gone,)])
    assert not hasattr(Stock, "gone")


def test_the_digest_is_that_of_the_text() -> None:
    """Of two functions that read alike in all but a character."""
    assert source_digest(Stock.told) != source_digest(Stock.static)
    assert source_digest(Stock.told) == source_digest(Stock.told)
