"""Which upstream a call goes to, as the room decides it (the rules themselves: core/test_routing.py)."""

from __future__ import annotations

import time
from types import SimpleNamespace

import orjson
import pytest
from mitmproxy import http

from addons.config import load
from addons.core.providers import Api
from addons.core.routes import CallFacts, Plan, RouteLike
from addons.core.routing import Decision, Surroundings, by_route, without_route
from tests.conftest import MakeJourney
from tests.rooms import (
    CHAT,
    CHAT_BODY,
    REMOTE_PEER,
    REMOTE_SOCKET,
    UPSTREAMS,
    Journey,
    answered,
    base_url_call,
    call,
    code,
    exchange,
    make_flow,
    records,
)

ROUTED = f"""{UPSTREAMS}
routes:
  - name: cheap
    match: {{model: "gpt-4o*"}}
    to: [{{upstream: openrouter, model: openai/gpt-4o-mini}}]
  - {{match: {{header: {{X-Team: research}}}}, name: team, to: [{{upstream: openrouter}}]}}
"""


def sent_to(flow: http.HTTPFlow) -> str:
    return f"{flow.request.host}{flow.request.path}"


def test_the_first_matching_route_wins(make_journey: MakeJourney) -> None:
    """Host, path prefix, Host header and model name are rewritten, the rest of the body stays, and the record says why."""
    journey = make_journey(ROUTED)
    flow = journey.send(call(headers={"X-Team": "research"}))
    assert sent_to(flow) == "openrouter.ai/api/v1/chat/completions"
    assert (flow.request.scheme, flow.request.port, flow.request.host_header) == ("https", 443, "openrouter.ai")
    assert flow.request.content == CHAT_BODY.replace(b'"gpt-4o"', b'"openai/gpt-4o-mini"')
    assert flow.request.headers["content-length"] == str(len(flow.request.content))
    record = exchange(flow).record
    assert (record.route, record.upstream, record.served_model, record.host) == (
        "cheap",
        "openrouter",
        "openai/gpt-4o-mini",
        "api.openai.com",
    )
    assert orjson.loads(record.decision or "")[0]["upstream"] == "openrouter"


def test_a_route_may_match_a_header(make_journey: MakeJourney) -> None:
    """Another model, another route."""
    flow = make_journey(ROUTED).send(call(headers={"x-team": "research"}, body=b'{"model": "o3"}'))
    assert (sent_to(flow), exchange(flow).record.route) == ("openrouter.ai/api/v1/chat/completions", "team")
    assert flow.request.content == b'{"model": "o3"}'


def test_without_a_match_a_call_goes_where_it_was_going(make_journey: MakeJourney) -> None:
    """Byte for byte."""
    flow = make_journey(ROUTED).send(call(body=b'{"model":  "o3"}'))
    assert (sent_to(flow), exchange(flow).record.route) == (f"api.openai.com{CHAT}", None)
    assert flow.request.content == b'{"model":  "o3"}'


def test_a_candidate_of_another_dialect_is_passed_over(make_journey: MakeJourney) -> None:
    """An Anthropic call can't go to an upstream that does not speak it; with none left, nothing is sent: 503."""
    text = f"{UPSTREAMS}\nroutes: [{{to: [{{upstream: openai}}]}}]\n"
    flow = make_journey(text).send(call("https://api.anthropic.com/v1/messages"))
    assert code(flow) == (503, "no_upstream_available")
    assert "no anthropic API" in (exchange(flow).record.decision or "")
    assert exchange(flow).record.attempts == []


def test_a_body_that_is_not_held_matches_no_model(make_journey: MakeJourney) -> None:
    """Routes that name a model do not match it; it goes where it was going."""
    journey, flow = make_journey(ROUTED), call()
    flow.request.stream = True
    journey.hook("requestheaders", flow)
    journey.hook("request_stream", flow)
    assert sent_to(flow) == f"api.openai.com{CHAT}"
    assert len(exchange(flow).record.attempts) == 1


def decided(flow: http.HTTPFlow) -> dict[str, str | None]:
    """The candidates of a call that was sent, each with the reason that it was passed over."""
    return {each["upstream"]: each["passed_over"] for each in orjson.loads(exchange(flow).record.decision or "[]")}


FILTERED = """
version: 1
upstreams:
  openai: {base_url: "https://api.openai.com/v1", hosts: [api.openai.com], aliases: {fast: gpt-4o-mini}, models: {deny: ["o3*"]}}
  groq: {base_url: "https://api.groq.com/openai/v1", hosts: [api.groq.com]}
"""


def test_an_alias_is_put_in_without_a_route(make_journey: MakeJourney) -> None:
    """The rest of the body stays; the record has both names."""
    flow = make_journey(FILTERED).send(call(body=b'{"model":  "fast", "messages": []}'))
    assert flow.request.content == b'{"model":  "gpt-4o-mini", "messages": []}'
    assert (exchange(flow).record.route, exchange(flow).record.served_model) == (None, "gpt-4o-mini")


def test_an_alias_in_a_path_is_put_in(make_journey: MakeJourney) -> None:
    """Gemini names the model there."""
    text = "version: 1\nupstreams: {gemini: {base_url: 'https://g.test', hosts: [g.test], aliases: {fast: gemini-2.5-flash}}}\n"
    flow = make_journey(text).send(call("https://g.test/v1beta/models/fast:generateContent", body=b"{}"))
    assert flow.request.path == "/v1beta/models/gemini-2.5-flash:generateContent"


def test_a_denied_model_is_not_sent(make_journey: MakeJourney) -> None:
    """With or without a route; the reason is kept."""
    for text in (FILTERED, f"{FILTERED}routes: [{{to: [{{upstream: openai}}]}}]\n"):
        flow = make_journey(text).send(call(body=b'{"model": "o3-mini"}'))
        assert code(flow) == (503, "no_upstream_available")
        assert decided(flow) == {"openai": "model o3-mini is denied on openai (upstreams.openai.models)"}
        assert exchange(flow).record.attempts == []


def test_the_model_is_asked_for_only_where_it_may_matter(make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call to an upstream without filters and aliases is decided without it, so is a route that asks for no model."""
    models: list[str | None] = []

    def alone(plan: Plan, upstream: str, model: str | None) -> Decision:
        models.append(model)
        return without_route(plan, upstream, model)

    def routed(plan: Plan, route: RouteLike, facts: CallFacts, api: Api, around: Surroundings) -> Decision:
        models.append(facts.model)
        return by_route(plan, route, facts, api, around)

    monkeypatch.setattr("addons.routing.without_route", alone)
    monkeypatch.setattr("addons.routing.by_route", routed)
    make_journey(FILTERED).send(call(f"https://api.groq.com/openai{CHAT}"))
    make_journey(f"{UPSTREAMS}routes: [{{match: {{path: '/v1/*'}}, to: [{{upstream: openai}}]}}]\n").send(call())
    assert models == [None, None]
    make_journey(FILTERED).send(call())
    make_journey(ROUTED).send(call())
    assert models[2:] == ["gpt-4o", "gpt-4o"]


def test_a_body_is_parsed_once(make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the route, the key, the time limits and the usage that is asked for, and for a second attempt too: it may be long."""
    parsed: list[bytes] = []

    def loads(body: bytes) -> object:
        parsed.append(body)
        return orjson.loads(body)

    for module in ("peek", "ask_usage"):
        monkeypatch.setattr(f"addons.core.{module}.orjson", SimpleNamespace(loads=loads, JSONDecodeError=orjson.JSONDecodeError))
    body = CHAT_BODY.replace(b"{", b'{"stream": true, ', 1)
    text = f"{UPSTREAMS}routes: [{{match: {{model: 'gpt-4o*'}}, to: [{{upstream: openai}}, {{upstream: openrouter}}]}}]\n"
    journey = make_journey(text, KEYS)
    flow = journey.send(call(body=body))
    assert b"include_usage" in (flow.request.content or b"")
    journey.fail(flow, "refused")
    assert (flow.request.host, b"include_usage" in (flow.request.content or b"")) == ("openrouter.ai", True)
    assert parsed == [body]


KEYS = {"OPENAI_KEY": "o" * 20, "OPENROUTER_KEY": "r" * 20}
PRICED = f"""{UPSTREAMS}
routes: [{{name: Research, match: {{client: nobody}}, to: [{{upstream: openrouter, model: m}}]}}]
prices: {{"openai/gpt-4o": {{input: 1, output: 1}}}}
"""


def wait_for_models(journey: Journey) -> None:
    """The tables that a route asks for are loaded in a thread."""
    assert journey.state.models.loading
    journey.state.models.loading.join(20)
    assert journey.state.models.loaded


@pytest.mark.parametrize("name", ["Research", "research", "RESEARCH"])
def test_a_client_may_choose_a_route(name: str, make_journey: MakeJourney) -> None:
    """By X-Turnpike-Route, which goes no further."""
    flow = make_journey(PRICED, KEYS).send(call(headers={"X-Turnpike-Route": name}))
    assert (exchange(flow).record.route, exchange(flow).record.served_model) == ("Research", "m")
    assert sent_to(flow) == "openrouter.ai/api/v1/chat/completions"
    assert "x-turnpike-route" not in flow.request.headers


@pytest.mark.parametrize(
    "flow",
    [call(headers={"X-Turnpike-Route": "none"}), base_url_call(f"/proxy{CHAT}", {"X-Turnpike-Route": "none"})],
    ids=["proxy", "base URL"],
)
def test_an_unknown_route_is_refused(flow: http.HTTPFlow, make_journey: MakeJourney) -> None:
    """400 with the known ones; nothing is sent."""
    journey = make_journey(PRICED, KEYS)
    assert code(journey.send(flow)) == (400, "route_not_found")
    assert answered(flow)[1]["error"]["known"] == ["Research", "Minimum Cost", "Maximum Performance"]
    (record,) = records(journey.state)
    assert (record.outcome, record.route, record.attempts) == ("blocked", None, [])


async def test_a_ready_made_route_takes_the_cheapest(make_journey: MakeJourney) -> None:
    """Of those that have keys and offer the model, by the user's own prices too; whoever asks first waits until the tables are there."""
    journey = make_journey(
        f"{UPSTREAMS.replace('openrouter.ai]', 'openrouter.ai], aliases: {gpt-4o: openai/gpt-4o}')}{PRICED.removeprefix(UPSTREAMS)}", KEYS
    )
    assert journey.state.models.loading is None
    flow = call(headers={"X-Turnpike-Route": "minimum-cost"})
    journey.hook("requestheaders", flow)
    loading = journey.router.request(flow)
    assert loading
    await loading
    journey.hook("request", flow)
    assert (exchange(flow).record.route, sent_to(flow)) == ("Minimum Cost", "openrouter.ai/api/v1/chat/completions")
    told = orjson.loads(exchange(flow).record.decision or "")
    assert [(each["upstream"], each["model"]) for each in told] == [("openrouter", "openai/gpt-4o"), ("openai", None), ("anthropic", None)]
    assert told[0]["cost_usd"] == pytest.approx(0.0045)
    assert told[0]["cost_usd"] < told[1]["cost_usd"]
    assert told[2]["passed_over"] == "anthropic has no keys for this call, and the client did not name it"


def test_keys_count_only_where_they_may_be_used(make_journey: MakeJourney) -> None:
    """A peer from elsewhere is given none, so that a ready-made route leaves it where it was going."""
    journey = make_journey(f"{UPSTREAMS}proxy: {{allow_remote: true}}\nroutes: [{{name: Maximum Performance}}]\n", KEYS)
    wait_for_models(journey)
    flow = journey.send(call(headers={"X-Forwarded-For": "x"}, peer=REMOTE_PEER, socket=REMOTE_SOCKET))
    assert decided(flow)["openai"] is None
    assert "no keys for this call" in (decided(flow)["openrouter"] or "")


def test_what_was_measured_decides(make_journey: MakeJourney) -> None:
    """Maximum Performance: first who was not measured, then the faster one."""
    journey = make_journey(
        f"{UPSTREAMS}routes: [{{name: fast, strategy: fastest, to: [{{upstream: openai}}, {{upstream: openrouter}}]}}]\n", KEYS
    )
    assert journey.send(call()).request.host == "api.openai.com"
    journey.state.speeds.note("openai", "gpt-4o", 900.0, 50.0, time.monotonic())
    assert journey.send(call()).request.host == "openrouter.ai"
    journey.state.speeds.note("openrouter", "gpt-4o", 100.0, 10.0, time.monotonic())
    assert journey.send(call()).request.host == "api.openai.com"


def test_requirements_are_checked_by_the_tables(make_journey: MakeJourney) -> None:
    """Context windows of genai-prices, capabilities of our own table; what they do not know passes nobody over."""
    to = ", ".join(f"{{upstream: openai, model: {model}}}" for model in ("gpt-4", "o3-mini", "gpt-4o", "mine"))
    require = "{min_context: 100000, capabilities: [tools, vision]}"
    journey = make_journey(f"{UPSTREAMS}routes: [{{require: {require}, to: [{to}]}}]\n", KEYS)
    wait_for_models(journey)
    told = orjson.loads(exchange(journey.send(call())).record.decision or "")
    assert [(each["model"], each["passed_over"], each.get("unknown")) for each in told] == [
        ("gpt-4o", None, None),
        ("mine", None, ["min_context", "tools", "vision"]),
        ("gpt-4", "context of 8192 is under min_context 100000", None),
        ("o3-mini", "model o3-mini lacks vision", None),
    ]


def test_prices_are_not_loaded_while_a_call_waits(make_journey: MakeJourney, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the table is there, prices are not known, and the order of `to` stands."""
    monkeypatch.setattr("addons.modeltables.ModelTables.want", lambda self: None)
    monkeypatch.setattr("addons.core.pricing.find_in_table", lambda provider, model: pytest.fail("this would load it"))
    to = "{upstream: openrouter, model: openai/gpt-4o}, {upstream: openai}"
    journey = make_journey(f"{UPSTREAMS}routes: [{{strategy: lowest_cost, to: [{to}]}}]\n", KEYS)
    assert journey.send(call()).request.host == "openrouter.ai"


def test_a_reload_changes_the_routes(make_journey: MakeJourney) -> None:
    """Of calls that begin after it; also the prices by which they are compared."""
    route = "{strategy: lowest_cost, to: [{upstream: openai, model: mine}, {upstream: openrouter, model: other}]}"
    text = f"{UPSTREAMS}routes: [{route}]\nprices: {{mine: {{input: 1, output: 1}}, other: {{input: %s, output: 1}}}}\n"
    journey = make_journey(text % 2, KEYS)
    wait_for_models(journey)
    assert journey.send(call()).request.host == "api.openai.com"
    journey.state.config.source.write_text(text % 0.5)
    journey.state.adopt(load(journey.state.config.source, KEYS))
    assert journey.send(call()).request.host == "openrouter.ai"
    journey.state.config.source.write_text(UPSTREAMS)
    journey.state.adopt(load(journey.state.config.source, KEYS))
    assert exchange(journey.send(call())).record.route is None


def handshake(path: str = "/v1/responses") -> http.HTTPFlow:
    return make_flow("GET", f"https://api.openai.com{path}", {"Upgrade": "WebSocket", "Connection": "Upgrade"})


def test_a_websocket_for_responses_is_refused(journey: Journey) -> None:
    """426, on which Codex falls back to POST at once; it is counted, and no call was made."""
    flow = journey.send(handshake())
    assert code(flow) == (426, "not_allowed")
    assert journey.state.counts["websockets_refused"] == 1
    assert not journey.recorder.live
    assert not records(journey.state)


def test_other_websockets_are_relayed(journey: Journey) -> None:
    """Realtime has no HTTP form to fall back to."""
    assert journey.send(handshake("/v1/realtime?model=gpt-4o-realtime")).response is None


@pytest.mark.parametrize(("policy", "path", "refused"), [("pass", "/v1/responses", False), ("refuse", "/v1/realtime", True)])
def test_the_policy_may_be_set(policy: str, path: str, refused: bool, make_journey: MakeJourney) -> None:
    """`proxy.websocket`."""
    flow = make_journey(f"{UPSTREAMS}proxy: {{websocket: {policy}}}\n").send(handshake(path))
    assert (flow.response is not None) is refused


def test_a_side_call_by_base_url_is_readdressed(make_journey: MakeJourney) -> None:
    """To the host that the upstream has, with the client's own credential and none of our own or hop headers; with no key of ours."""
    journey = make_journey(UPSTREAMS, {"ANTHROPIC_KEY": "k" * 20})
    headers = {"x-api-key": "own", "X-Upstream-Name": "anthropic", "X-Turnpike-Tag": "t", "Proxy-Authorization": "Basic x"}
    flow = journey.send(base_url_call("/proxy/anthropic/api/event_logging/v2/batch?a=1", headers))
    assert flow.response is None
    assert sent_to(flow) == "api.anthropic.com/api/event_logging/v2/batch?a=1"
    assert (flow.request.scheme, flow.request.port, flow.request.host_header) == ("https", 443, "api.anthropic.com")
    assert flow.request.headers["x-api-key"] == "own"
    assert not {"x-upstream-name", "x-turnpike-tag", "proxy-authorization"} & {name.lower() for name in flow.request.headers}


def test_a_side_call_without_an_address_goes_nowhere(make_journey: MakeJourney) -> None:
    """An upstream without base_url has no host for it: 404, rather than our own address again."""
    journey = make_journey("version: 1\nupstreams: {chatgpt: {provider: openai, hosts: [chatgpt.com]}}\n")
    assert code(journey.send(base_url_call("/proxy/chatgpt/backend-api/me"))) == (404, "not_found")
