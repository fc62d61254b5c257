"""Whose credential goes upstream, and when a key is given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import http

from tests.conftest import MakeJourney
from tests.rooms import CHAT, REMOTE_PEER, REMOTE_SOCKET, Journey, base_url_call, call, exchange, new_key

OWN = "client-own-credential"


def config(inject: str) -> str:
    return f"""
version: 1
proxy: {{allow_remote: true}}
upstreams:
  openai: {{base_url: "https://api.openai.com/v1", hosts: [api.openai.com], inject: {inject}, keys: [{{env: OPENAI_KEY*}}]}}
  anthropic: {{base_url: "https://api.anthropic.com", hosts: [api.anthropic.com], inject: {inject}, keys: [{{env: ANTHROPIC_KEY*}}]}}
  gemini: {{base_url: "https://generativelanguage.googleapis.com", hosts: ["*.googleapis.com"], keys: [{{env: GEMINI_KEY*}}]}}
"""


@pytest.mark.parametrize(
    ("inject", "sent", "ours"),
    [
        ("always", OWN, True),
        ("always", "", True),
        ("placeholder", OWN, False),
        ("placeholder", "turnpike", True),
        ("placeholder", "", True),
        ("never", OWN, False),
        ("never", "", False),
    ],
)
def test_inject_says_whose_credential(inject: str, sent: str, ours: bool, make_journey: MakeJourney) -> None:
    """always: ours; placeholder: ours where the client sent a placeholder or nothing; never: the client's."""
    key = new_key()
    headers = {"Authorization": f"Bearer {sent}"} if sent else {}
    flow = make_journey(config(inject), {"OPENAI_KEY": key}).send(call(headers=headers))
    expected = f"Bearer {key}" if ours else headers.get("Authorization")
    assert flow.request.headers.get("Authorization") == expected
    assert exchange(flow).record.key_hint == (key[-4:] if ours else None)


def test_without_keys_the_clients_own_stays(make_journey: MakeJourney) -> None:
    """As the shipped configuration has it: nothing is put in its place."""
    flow = make_journey(config("always")).send(call(headers={"Authorization": f"Bearer {OWN}"}))
    assert flow.request.headers["Authorization"] == f"Bearer {OWN}"


@pytest.mark.parametrize(
    ("url", "headers", "name", "expected"),
    [
        ("https://api.anthropic.com/v1/messages", {"x-api-key": OWN, "anthropic-version": "2023-06-01"}, "x-api-key", "{ANTHROPIC_KEY}"),
        ("https://api.anthropic.com/v1/messages", {"Authorization": f"Bearer {OWN}"}, "x-api-key", "{ANTHROPIC_KEY}"),
        (
            f"https://generativelanguage.googleapis.com/v1beta/models/gemini-pro:generateContent?key={OWN}&alt=sse",
            {},
            "x-goog-api-key",
            "{GEMINI_KEY}",
        ),
        (
            f"https://api.openai.com{CHAT}",
            {"Authorization": f"Bearer {OWN}", "x-api-key": OWN, "Cookie": OWN},
            "Authorization",
            "Bearer {OPENAI_KEY}",
        ),
    ],
)
def test_the_key_travels_in_the_providers_style(
    url: str, headers: dict[str, str], name: str, expected: str, make_journey: MakeJourney
) -> None:
    """Every inbound credential is taken off first, wherever it stood; what is none stays."""
    keys = {f"{upstream}_KEY": new_key() for upstream in ("OPENAI", "ANTHROPIC", "GEMINI")}
    request = make_journey(config("always"), keys).send(call(url, headers=headers)).request
    assert request.headers.get_all(name) == [expected.format(**keys)]
    assert OWN not in request.path + str(request.headers.fields)
    assert request.headers.get("anthropic-version") == headers.get("anthropic-version")
    assert request.path.endswith("?alt=sse") or "?" not in url


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer turnpike"}, {"Authorization": f"Bearer {OWN}"}])
@pytest.mark.parametrize(
    "make", [call, lambda **more: base_url_call(f"/proxy{CHAT}", host="192.0.2.1:8080", **more)], ids=["forwarded", "base URL"]
)
def test_a_remote_peer_is_given_no_key(headers: dict[str, str], make: Callable[..., http.HTTPFlow], make_journey: MakeJourney) -> None:
    """Whatever it sends goes on as it is, or nothing does."""
    key = new_key()
    flow = make_journey(config("always"), {"OPENAI_KEY": key}).send(make(headers=headers, peer=REMOTE_PEER, socket=REMOTE_SOCKET))
    assert flow.response is None
    assert flow.request.headers.get("Authorization") == headers.get("Authorization")
    assert key not in str(flow.request.headers.fields)


def test_keys_take_turns(make_journey: MakeJourney) -> None:
    """Every call its own lease."""
    keys = {"OPENAI_KEY": new_key(), "OPENAI_KEY_1": new_key()}
    journey = make_journey(config("always"), keys)
    sent = [journey.send(call()).request.headers["Authorization"] for _ in range(4)]
    assert sorted(sent) == sorted(f"Bearer {key}" for key in keys.values() for _ in range(2))
    assert [key.in_flight for key in journey.state.pools["openai"].keys] == [2, 2]


ENDS: dict[str, Callable[[Journey, Any], object]] = {
    "answer": lambda journey, flow: journey.answer(flow),
    "upstream's error": lambda journey, flow: journey.answer(flow, 500),
    "no answer": lambda journey, flow: journey.fail(flow, "refused"),
    "broken off": lambda journey, flow: journey.break_off(flow, client_left=False),
    "client left": lambda journey, flow: journey.break_off(flow, client_left=True),
    "connection gone": lambda journey, flow: journey.hook("client_disconnected", flow.client_conn),
    "proxy stopped": lambda journey, flow: journey.recorder.done(),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_lease_is_given_back_at_every_end(end: str, make_journey: MakeJourney) -> None:
    """Once, so that the pool knows what is in flight."""
    journey = make_journey(config("always"), {"OPENAI_KEY": new_key()})
    (key,) = journey.state.pools["openai"].keys
    flow = journey.send(call())
    assert key.in_flight == 1
    ENDS[end](journey, flow)
    assert (key.in_flight, exchange(flow).tries) == (0, None)
    journey.hook("client_disconnected", flow.client_conn)
    assert key.in_flight == 0


def test_a_pool_key_never_goes_in_plain_text_where_the_client_chose_so(make_journey: MakeJourney) -> None:
    """An upstream without base_url is called as the client asked; over plain HTTP that is no place for our key."""
    text = "upstreams: {hostless: {provider: openai, hosts: [llm.internal], keys: [{env: HOSTLESS_KEY}]}}"
    flow = make_journey(text, {"HOSTLESS_KEY": new_key()}).send(call(f"http://llm.internal{CHAT}"))
    assert "authorization" not in flow.request.headers


def test_the_clients_credential_decides_nothing_elsewhere(make_journey: MakeJourney) -> None:
    """An upstream that the client did not name is not shown its credential, so `inject: placeholder` there does not look at it."""
    text = f"""{config("never")}
  back: {{provider: openai, base_url: "https://back.test/v1", inject: placeholder, keys: [{{env: BACK_KEY}}]}}
routes: [{{to: [{{upstream: openai}}, {{upstream: back}}]}}]
"""
    key = new_key()
    journey = make_journey(text, {"OPENAI_KEY": new_key(), "BACK_KEY": key})
    flow = journey.send(call(headers={"Authorization": f"Bearer {OWN}"}))
    assert flow.request.headers["authorization"] == f"Bearer {OWN}"
    journey.fail(flow, "refused")
    assert (flow.request.host, flow.request.headers["authorization"]) == ("back.test", f"Bearer {key}")
