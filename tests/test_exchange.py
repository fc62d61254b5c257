"""What is known of one call, and that it lives as long as its flow."""

from __future__ import annotations

import gc
import os
import weakref

import pytest
from mitmproxy import http

from addons.config import Config
from addons.core.ids import RANDOM_LENGTH, is_ulid
from addons.exchange import RANDOM_CALLS, RandomParts, call_of, exchange_of, open_exchange
from tests.conftest import MakeJourney
from tests.rooms import UPSTREAMS, call, exchange, new_key


def test_it_begins_with_what_the_client_asked_for() -> None:
    """Method, host and path as they came, a new id, and a clock that runs."""
    flow = call("https://api.openai.com/v1/models?limit=2")
    exchange = open_exchange(flow, "call", "/v1/models", Config(), {})
    record = exchange.record
    assert (record.method, record.host, record.path, exchange.path) == ("POST", "api.openai.com", "/v1/models?limit=2", "/v1/models")
    assert is_ulid(record.id)
    assert record.id != open_exchange(call(), "call", "/", Config(), {}).record.id
    assert 0 <= exchange.now_ms() <= exchange.now_ms()


def test_it_is_found_by_its_flow_and_goes_with_it() -> None:
    """Nothing is kept of a flow that mitmproxy has let go."""
    flow = call()
    assert exchange_of(flow) is None
    gone = weakref.ref(open_exchange(flow, "side", "/", Config(), {}))
    assert exchange_of(flow) is gone()
    assert flow.metadata == {}  # a dataclass there would break mitmproxy's own -w
    del flow
    gc.collect()
    assert gone() is None


def test_only_calls_without_an_answer_are_to_be_sent() -> None:
    """Others were answered, or are none."""
    flow = call()
    assert call_of(flow) is None
    exchange = open_exchange(flow, "call", "/", Config(), {})
    assert call_of(flow) is exchange
    flow.response = http.Response.make(403)
    assert call_of(flow) is None
    side = call()
    open_exchange(side, "side", "/", Config(), {})
    assert call_of(side) is None


def test_what_a_call_holds_is_given_back_at_its_end(make_journey: MakeJourney) -> None:
    """However many ends come."""
    flow = make_journey(UPSTREAMS, {"OPENAI_KEY": new_key()}).send(call())
    found = exchange(flow)
    (key,) = found.pools["openai"].keys
    assert key.in_flight == 1
    found.close_tries()
    found.close_tries()
    assert key.in_flight == 0


def test_the_last_attempt_is_the_one_that_runs() -> None:
    """None before the first."""
    exchange = open_exchange(call(), "call", "/", Config(), {})
    assert exchange.attempt is None


def test_a_copy_of_a_flow_is_no_call() -> None:
    """As mitmproxy makes them, and writes them."""
    flow = call()
    open_exchange(flow, "call", "/", Config(), {})
    assert exchange_of(flow.copy()) is None
    assert "exchange" not in str(flow.get_state())


def test_headers_are_read_again_when_they_have_changed() -> None:
    """Not else; by whomever, in whatever way."""
    flow = call(headers={"X-One": "1"})
    exchange = open_exchange(flow, "call", "/", Config(), {})
    read = exchange.read_headers(flow.request)
    assert read is exchange.read_headers(flow.request)
    flow.request.headers["x-one"] = "2"
    assert exchange.read_headers(flow.request).by_name["x-one"] == "2"
    flow.request.headers = http.Headers(())
    assert exchange.read_headers(flow.request).by_name == {}
    assert read.by_name["x-one"] == "1"


def test_random_parts_are_given_once() -> None:
    """Over several fetches."""
    source = RandomParts()
    taken = [source.next() for _ in range(3 * RANDOM_CALLS + 1)]
    assert len(set(taken)) == len(taken)
    assert all(is_ulid("0" * 10 + part) for part in taken)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no such thing here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_random_parts_of_its_own() -> None:
    """Else both would give the same ids to different calls."""
    source = RandomParts()
    source.next()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, source.next().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = pipe.read().decode()
    os.waitpid(child, 0)
    assert len(theirs) == RANDOM_LENGTH
    assert theirs not in [source.next() for _ in range(RANDOM_CALLS)]
