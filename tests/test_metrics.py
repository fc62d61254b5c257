"""The counts as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from addons.core.call import SqlValue, StoredCall
from addons.metrics import PLAIN, count_call, exposition
from tests.conftest import MakeJourney
from tests.rooms import UPSTREAMS, Journey, call, exchange, new_key


def samples(journey: Journey) -> Iterator[Sample]:
    """What a scrape gives, read as Prometheus reads it. A family that comes twice, or a series, is an error there."""
    text = exposition(journey.state)
    assert text.endswith("\n")
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation and family.type != "unknown" for family in families)
    found = [sample for family in families for sample in family.samples]
    assert len({(sample.name, frozenset(sample.labels.items())) for sample in found}) == len(found)
    yield from found


def value(journey: Journey, name: str, **labels: str) -> float:
    """Of one series."""
    [found] = [sample.value for sample in samples(journey) if (sample.name, sample.labels) == (name, labels)]
    return found


def test_all_plain_counts_are_there_from_the_start(journey: Journey) -> None:
    """A count that is 0 is shown as 0, so that a rate can be taken from the first event on."""
    journey.state.counts["tunnels"] = 2
    assert value(journey, "turnpike_tunnels_total") == 2
    assert {f"turnpike_{name}_total" for name in PLAIN} <= {sample.name for sample in samples(journey)}


def test_calls_are_counted_by_upstream_and_outcome(journey: Journey) -> None:
    """Once per call that has ended; those that run are shown meanwhile."""
    for answer in (200, 200, 500):
        journey.answer(journey.send(call()), answer)
    journey.send(call())
    assert value(journey, "turnpike_calls_total", upstream="openai", outcome="ok") == 2
    assert value(journey, "turnpike_calls_total", upstream="openai", outcome="error") == 1
    assert value(journey, "turnpike_errors_total", upstream="openai", **{"class": "server"}) == 1
    assert value(journey, "turnpike_attempts_total", upstream="openai") == 3
    assert value(journey, "turnpike_call_duration_seconds_count", upstream="openai") == 3
    assert value(journey, "turnpike_calls_running") == 1


def test_tokens_cost_and_first_tokens_come_from_the_writer(journey: Journey) -> None:
    """By kind and model, as the rows have them."""
    row: dict[str, SqlValue] = {"upstream": "openai", "model": "gpt-4o", "outcome": "ok", "tokens_source": "reported", "ttft_ms": 300.0}
    journey.state.tallies.stored(StoredCall(row={**row, "input_tokens": 7, "cache_read_tokens": 3, "cost_usd": 0.25}))
    assert value(journey, "turnpike_tokens_total", kind="input", model="gpt-4o") == 7
    assert value(journey, "turnpike_tokens_total", kind="cache_read", model="gpt-4o") == 3
    assert value(journey, "turnpike_cost_usd_total", upstream="openai", model="gpt-4o") == 0.25
    assert value(journey, "turnpike_ttft_seconds_bucket", upstream="openai", le="0.2") == 0
    assert value(journey, "turnpike_ttft_seconds_bucket", upstream="openai", le="0.3") == 1


def test_keys_are_shown_by_state_and_never_whole(make_journey: MakeJourney) -> None:
    """How many of each state, and each by its last characters."""
    keys = [new_key(), new_key()]
    journey = make_journey(UPSTREAMS, {"OPENAI_KEY": keys[0], "OPENAI_KEY_1": keys[1]})
    pool = journey.state.pools["openai"]
    lease = pool.lease(time.time(), "m")
    assert lease
    pool.lock_out(lease, time.time())
    locked = lease.key.value
    assert value(journey, "turnpike_keys", upstream="openai", state="available") == 1
    assert value(journey, "turnpike_keys", upstream="openai", state="locked") == 1
    states = {s.labels["key"][-4:]: s.labels["state"] for s in samples(journey) if s.name == "turnpike_key_state" and s.value}
    assert states == {key[-4:]: "locked" if key == locked else "available" for key in keys}
    assert not any(key[-8:] in exposition(journey.state) for key in keys)


def test_keys_with_equal_ends_are_two_series(make_journey: MakeJourney) -> None:
    """Prometheus refuses a scrape in which one comes twice."""
    text = UPSTREAMS.replace("[{env: OPENAI_KEY*}]", "[{env: OPENAI_KEY}, {env: OPENAI_KEY, priority: 2}]")
    journey = make_journey(text, {"OPENAI_KEY": new_key()})
    assert list(samples(journey))


def test_labels_are_escaped(journey: Journey) -> None:
    """A name can't break out of its label."""
    flow = call()
    journey.hook("requestheaders", flow)
    record = exchange(flow).record
    record.upstream = 'a"b\\c\nd'
    count_call(journey.state, record)
    assert value(journey, "turnpike_calls_total", upstream='a"b\\c\nd', outcome="ok") == 1


def test_the_writers_queue_is_shown(journey: Journey) -> None:
    """What waits, in rows and bytes, and whether the database can be written."""
    assert value(journey, "turnpike_queue_rows") == 3
    assert value(journey, "turnpike_queue_bytes") == 700
    assert value(journey, "turnpike_database_up") == 1
    journey.state.logs.dropped = 4
    assert value(journey, "turnpike_log_lines_dropped_total") == 4


def test_the_process_and_its_event_loop_are_shown(journey: Journey) -> None:
    """Memory, processor time and descriptors under Prometheus' own names; how late timers were."""
    journey.state.tallies.lag.note(0.03)
    assert value(journey, "turnpike_event_loop_lag_seconds_bucket", le="0.02") == 0
    assert value(journey, "turnpike_event_loop_lag_seconds_bucket", le="0.03") == 1
    assert value(journey, "turnpike_draining") == 0
    names = {sample.name for sample in samples(journey)}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"} <= names
