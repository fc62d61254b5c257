"""An add-on that is not asked would have done nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.addons.blocklist import BlockList
from mitmproxy.addons.maplocal import MapLocal
from mitmproxy.addons.mapremote import MapRemote
from mitmproxy.addons.modifybody import ModifyBody
from mitmproxy.addons.modifyheaders import ModifyHeaders
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.addons.proxyauth import ProxyAuth
from mitmproxy.addons.save import Save
from mitmproxy.addons.serverplayback import ServerPlayback
from mitmproxy.addons.stickyauth import StickyAuth
from mitmproxy.addons.stickycookie import StickyCookie
from mitmproxy.addons.upstream_auth import UpstreamAuth
from mitmproxy.test import taddons, tflow

from addons.proxycore import idle
from addons.proxycore.idle import NEEDS, idle_rule, needed

WIDE = "\uff4d\uff49\uff54\uff4d.it"  # letters that a host name may be written in, too
HOSTS = ["mitm.it", "MITM.IT", "mitm.it:80", "xmitm.it", "a.example", "", "mitm.it.example", "xn--mitm", WIDE, "[::1]:80"]


@pytest.mark.parametrize("served", ["mitm.it", "Mitm.It", "a.example", "ä.example"])
@pytest.mark.parametrize("said", [*HOSTS, None])
@pytest.mark.parametrize("host", ["mitm.it", "a.example"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2.0"])
def test_the_onboarding_app_is_asked_wherever_it_would_serve(served: str, said: str | None, host: str, version: str) -> None:
    """By the Host header, `:authority` or the host itself, in any spelling that mitmproxy understands."""
    app = Onboarding()
    app.host = served
    flow = tflow.tflow(live=True)
    flow.request.headers.clear()
    flow.request.data.host, flow.request.data.http_version = host, version.encode()
    if said is not None:
        if version == "HTTP/2.0":
            flow.request.data.authority = said.encode()
        else:
            flow.request.headers["Host"] = said
    rule = idle_rule(app, "request")
    assert rule
    assert not (rule(app, flow) and app.should_serve(flow))


def test_and_is_not_asked_for_what_is_not_its_own() -> None:
    """Else the rule would be for nothing."""
    app = Onboarding()
    rule = idle_rule(app, "request")
    assert rule
    assert rule(app, tflow.tflow(live=True))


USED: dict[Any, dict[str, Any]] = {
    BlockList: {"block_list": ["/x/404"]},
    MapLocal: {"map_local": ["|x|{folder}"]},
    MapRemote: {"map_remote": ["|x|y"]},
    ModifyBody: {"modify_body": ["/x/y"]},
    ModifyHeaders: {"modify_headers": ["/x/y"]},
    ProxyAuth: {"proxyauth": "any"},
    Save: {"save_stream_file": "{folder}/file"},
    StickyAuth: {"stickyauth": ".*"},
    StickyCookie: {"stickycookie": ".*"},
    UpstreamAuth: {"upstream_auth": "user:secret"},
}


@pytest.mark.parametrize("kind", USED, ids=lambda kind: kind.__name__)
def test_an_add_on_is_idle_until_its_option_is_used(kind: Any, tmp_path: Path) -> None:
    """By the attribute that its handlers look at first."""

    def filled(value: Any) -> Any:
        return [filled(one) for one in value] if isinstance(value, list) else value.format(folder=tmp_path)

    attribute, hooks = NEEDS[kind]
    with taddons.context(addon := kind()) as context:
        assert [needed(addon, hook) for hook in hooks] == [attribute for _ in hooks]
        assert not getattr(addon, attribute)
        context.configure(addon, **{name: filled(value) for name, value in USED[kind].items()})
        assert getattr(addon, attribute)
        addon.done() if hasattr(addon, "done") else None


def test_a_playback_is_idle_without_flows() -> None:
    """Which are loaded by a command."""
    with taddons.context(addon := ServerPlayback()):
        assert needed(addon, "request") == "flowmap"
        assert not addon.flowmap
        addon.load_flows([tflow.tflow(resp=True)])
        assert addon.flowmap


@pytest.mark.parametrize("kind", NEEDS, ids=lambda kind: kind.__name__)
def test_an_idle_handler_changes_nothing(kind: Any) -> None:
    """Whatever the flow."""
    with taddons.context(addon := kind()):
        for hook in NEEDS[kind][1]:
            flow = tflow.tflow(resp=hook.startswith("response"), err=hook == "error", live=True)
            before = flow.get_state()
            assert getattr(addon, hook)(flow) is None
            assert flow.get_state() == before


def test_who_changes_an_add_on_has_it_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler of its own, a class below, another hook, or another mitmproxy."""
    changed = MapLocal()
    changed.request = lambda flow: None  # type: ignore[method-assign]
    assert needed(changed, "request") is None

    class Below(MapLocal): ...

    assert needed(Below(), "request") is None
    assert needed(MapLocal(), "response") is None
    monkeypatch.setattr(MapLocal, "request", lambda self, flow: None)
    assert idle.broken_pins(MapLocal) == ["MapLocal.request"]
    assert needed(MapLocal(), "request") is None
    monkeypatch.setattr(ASGIApp, "should_serve", lambda self, flow: True)
    assert idle_rule(Onboarding(), "request") is None
    monkeypatch.delattr(ModifyBody, "run")
    assert idle.broken_pins(ModifyBody) == ["ModifyBody.run"]
    assert needed(ModifyBody(), "request") is None
