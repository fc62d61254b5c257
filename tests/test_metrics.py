"""The counts as Prometheus reads them."""

from __future__ import annotations

import re

from addons.metrics import PLAIN, count_call, exposition
from tests.rooms import Journey, call, exchange

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})? -?\d+')


def test_every_line_is_a_comment_or_a_sample(journey: Journey) -> None:
    """Each family has its help and type before its samples, and the text ends with a line break."""
    text = exposition(journey.state)
    assert text.endswith("\n")
    for line in text.splitlines():
        assert line.startswith(("# HELP turnpike_", "# TYPE turnpike_")) or SAMPLE.fullmatch(line), line


def test_all_plain_counts_are_there_from_the_start(journey: Journey) -> None:
    """A count that is 0 is shown as 0, so that a rate can be taken from the first event on."""
    journey.state.counts["tunnels"] = 2
    lines = exposition(journey.state).splitlines()
    assert "turnpike_tunnels_total 2" in lines
    assert all(any(line.startswith(f"turnpike_{name}_total ") for line in lines) for name in PLAIN)


def test_calls_are_counted_by_upstream_and_outcome(journey: Journey) -> None:
    """Once per call that has ended."""
    for answer in (200, 200, 500):
        journey.answer(journey.send(call()), answer)
    lines = exposition(journey.state).splitlines()
    assert 'turnpike_calls_total{upstream="openai",outcome="ok"} 2' in lines
    assert 'turnpike_calls_total{upstream="openai",outcome="error"} 1' in lines
    assert lines.count("# TYPE turnpike_calls_total counter") == 1


def test_labels_are_escaped(journey: Journey) -> None:
    """A name can't break out of its label."""
    flow = call()
    journey.hook("requestheaders", flow)
    record = exchange(flow).record
    record.upstream = 'a"b\\c\nd'
    count_call(journey.state, record)
    assert r'turnpike_calls_total{upstream="a\"b\\c\nd",outcome="ok"} 1' in exposition(journey.state)


def test_the_writers_queue_is_shown(journey: Journey) -> None:
    """What waits, in rows and bytes."""
    lines = exposition(journey.state).splitlines()
    assert "turnpike_queue_rows 3" in lines
    assert "turnpike_queue_bytes 700" in lines
