"""addons/views/filters.py: what an address asks for, and what in it is told to be wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import parse_qs

import pytest

from addons.views.filters import DEFAULT_RANGE, MAX_STEPS, RANGES, Filters, Query, parse

NOW = int(datetime(2026, 11, 21, 10, 7, 33, tzinfo=UTC).timestamp() * 1000)
MINUTE = 60_000
HOSTILE = "a&b=c' OR 1=1 --\"><script>\x00東京 🚀"


def asked(address: str) -> Query:
    """A query without problems."""
    query, problems = parse(parse_qs(address, keep_blank_values=True), NOW)
    assert problems == ()
    return query


def told(address: str) -> dict[str, str]:
    """The problems of an address."""
    return {problem.parameter: problem.text for problem in parse(parse_qs(address, keep_blank_values=True), NOW)[1]}


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(params=["Asia/Tokyo", "America/New_York"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is not UTC."""
    with monkeypatch.context() as patch:
        patch.setitem(os.environ, "TZ", request.param)
        time.tzset()
        yield
    time.tzset()


def test_without_anything_the_last_day_is_meant() -> None:
    """Live, unfiltered, up to now."""
    query = asked("")
    assert (query.span.name, query.span.live, query.live) == (DEFAULT_RANGE, True, True)
    assert query.filters == Filters()
    assert query.span.from_ms <= NOW - 86_400_000 < NOW < query.span.to_ms


@pytest.mark.parametrize("name", RANGES)
def test_ranges_reach_back_from_now(name: str) -> None:
    """In whole steps, at most MAX_STEPS and one, and no more than a step longer than named."""
    span = asked(f"range={name}").span
    edges = span.edges()
    assert len(edges) <= MAX_STEPS + 1
    assert edges[0][0] == span.from_ms and edges[-1][1] == span.to_ms
    assert all(left[1] == right[0] for left, right in pairwise(edges))
    assert 0 <= NOW - RANGES[name] * 1000 - span.from_ms < span.step_ms
    assert 0 < span.to_ms - NOW <= span.step_ms


def test_steps_are_the_same_ones_a_moment_later() -> None:
    """So that what was counted for them still holds."""
    first = set(parse({"range": ["1h"]}, NOW)[0].span.edges())
    later = set(parse({"range": ["1h"]}, NOW + 5000)[0].span.edges())
    assert len(first & later) >= len(first) - 1


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-20", "2026-11-20T00:00:00+00:00"),
        ("2026-11-20T10:30", "2026-11-20T10:30:00+00:00"),
        ("2026-11-20T10:30:15Z", "2026-11-20T10:30:15+00:00"),
        ("2026-11-20T10:30:00%2B02:00", "2026-11-20T08:30:00+00:00"),
    ],
)
def test_times_are_utc_wherever_the_machine_is(text: str, utc: str) -> None:
    """Unless they name their offset."""
    span = asked(f"from={text}&to=2026-11-21").span
    assert (span.from_ms, span.to_ms, span.live) == (ms(utc), ms("2026-11-21T00:00:00+00:00"), False)


def test_a_range_of_ones_own_is_exact() -> None:
    """Its ends cut the first and the last step; its middle is made of whole ones; without an end it is live."""
    span = asked("from=2026-11-20T10:00:07&to=2026-11-20T12:59:59").span
    assert span.step_ms == 2 * MINUTE
    assert span.edges()[0] == (ms("2026-11-20T10:00:07+00:00"), ms("2026-11-20T10:02:00+00:00"))
    assert span.edges()[-1][1] == ms("2026-11-20T12:59:59+00:00")
    assert asked("from=2026-11-20").span.live


def test_a_range_of_centuries_has_no_more_steps() -> None:
    """Steps are whole days then."""
    span = asked("from=1970-01-01&to=9999-01-01").span
    assert len(span.edges()) <= MAX_STEPS + 1
    assert span.step_ms % 86_400_000 == 0


def test_two_ranges_are_told() -> None:
    """A name and moments of one's own: the moments count."""
    assert asked("otherwise=7d&from=2026-11-20").span.name is None
    assert asked("otherwise=7d").span.name == "7d"
    assert "two ranges" in told("range=7d&from=2026-11-20")["range"]


def test_a_model_is_found_by_each_of_its_names() -> None:
    """As asked, as sent, as answered: a call that failed has no answer; and attempts by how they failed."""
    where, named = asked("model=m&error_type=e&failure=timeout").filters.where()
    assert ":is_model IN (response_model, served_model, model)" in where
    assert "error_type = :is_error_type" in where and "failure = :is_failure" in where
    assert named == {"is_model": "m", "is_error_type": "e", "is_failure": "timeout"}


def test_filters_are_values_never_sql() -> None:
    """Whatever is asked for is bound; an empty field of a form is none; NULL is asked for by name."""
    query = asked("model=%27+OR+1%3D1+--&client=&status=4xx&none=tag&none=key")
    where, named = query.filters.where()
    assert named == {"is_model": "' OR 1=1 --"}
    assert "OR 1" not in where
    assert "status BETWEEN 400 AND 499" in where
    assert " AND tag IS NULL AND key_hint IS NULL" in where
    assert asked("status=429").filters.where() == (" AND status = :is_status", {"is_status": 429})


@pytest.mark.parametrize("address", ["range=7d&nolive", "from=2026-11-20T10:00&to=2026-11-21&client=a%26b", "model=x&none=tag&status=5xx"])
def test_an_address_is_made_again(address: str) -> None:
    """What a query says of itself asks for the same."""
    query = asked(address)
    again = asked(query.address().removeprefix("?"))
    assert (again.span, again.filters, again.live) == (query.span, query.filters, query.live)


def test_filters_are_put_on_and_taken_off() -> None:
    """One value each, also a hostile one; not known is a value too."""
    query = asked("range=1h&client=codex")
    narrowed = query.narrowed("tag", HOSTILE).narrowed("client", "other")
    assert dict(asked(narrowed.address().removeprefix("?")).filters.values) == {"client": "other", "tag": HOSTILE}
    unknown = narrowed.narrowed("tag", None)
    assert (dict(unknown.filters.values), unknown.filters.none) == ({"client": "other"}, ("tag",))
    assert unknown.narrowed("tag", "x").filters == query.narrowed("client", "other").narrowed("tag", "x").filters
    assert unknown.without("tag").without("client").filters == Filters()


@pytest.mark.parametrize(
    ("address", "parameter", "word"),
    [
        ("range=3w", "range", "“3w” is none of 15m"),
        ("from=yesterday", "from", "2026-11-21T10:00"),
        ("to=1969-12-31", "to", "since 1970"),
        ("to=9999-12-31", "to", "since 1970"),
        ("from=2026-11-21&to=2026-11-20", "from", "is not before “2026-11-20”"),
        ("from=2027-01-01", "from", "is not before “now”"),
        ("status=teapot", "status", "429, 4xx or 5xx"),
        ("status=600", "status", "429, 4xx or 5xx"),
        ("outcome=good", "outcome", "ok, error"),
        ("none=prompt", "none", "none of model"),
        ("none=tag&tag=x", "none", "nothing fits"),
        ("modle=x", "modle", "there are model"),
        ("model=x&model=y", "model", "given 2 times"),
        ("range=" + "x" * 5000, "range", "x…”"),
    ],
)
def test_what_is_wrong_is_named(address: str, parameter: str, word: str) -> None:
    """By its parameter, with what would be right, in few words; and there is a query all the same."""
    problems = told(address)
    assert list(problems) == [parameter]
    assert word in problems[parameter]
    assert len(problems[parameter]) < 300
    query, _ = parse(parse_qs(address), NOW)
    assert query.span.edges()


def test_what_is_wrong_is_left_out() -> None:
    """A bad filter filters nothing, beside one that does; a bad end leaves the other."""
    query, _ = parse(parse_qs("outcome=good&client=codex&from=2026-11-20&to=x"), NOW)
    assert query.filters.values == (("client", "codex"),)
    assert query.span.from_ms == ms("2026-11-20T00:00:00+00:00")
    assert query.parameters() == [("from", "2026-11-20"), ("client", "codex")]
