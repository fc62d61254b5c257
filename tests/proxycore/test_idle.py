"""An add-on that is not asked would have done nothing."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy.addons.maplocal import MapLocal
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.test import taddons, tflow

from addons.proxycore import idle
from addons.proxycore.idle import idle_rule

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


def test_a_map_without_rules_is_idle(tmp_path: Any) -> None:
    """With one it is asked."""
    with taddons.context(addon := MapLocal()) as context:
        rule = idle_rule(addon, "request")
        assert rule
        assert rule(addon, tflow.tflow())
        (tmp_path / "file").touch()
        context.configure(addon, map_local=[f"|x|{tmp_path}"])
        assert not rule(addon, tflow.tflow())


def test_who_changes_an_add_on_has_it_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler of its own, a class below, or another mitmproxy."""
    changed = MapLocal()
    changed.request = lambda flow: None  # type: ignore[method-assign]
    assert idle_rule(changed, "request") is None

    class Below(MapLocal): ...

    assert idle_rule(Below(), "request") is None
    assert idle_rule(MapLocal(), "response") is None
    monkeypatch.setattr(MapLocal, "request", lambda self, flow: None)
    assert idle.broken_pins() == ["MapLocal.request"]
    assert idle_rule(MapLocal(), "request") is None
