"""What can't be protected is not sent."""

from __future__ import annotations

import pytest

from addons.config import Config
from addons.core.attempt import Request
from addons.redactor import Redactor, Unprotected
from tests.rooms import Journey, call, code

REQUEST = Request("POST", "https", "api.openai.com", 443, "/", (), b"{}")


def with_outgoing(config: Config, mode: str, override: str | None = None) -> Config:
    """A configuration that `load` would refuse, as long as outgoing protection is not there."""
    document = config.model_dump()
    document["redaction"]["outgoing"]["mode"] = mode
    if override:
        document["upstreams"]["openai"]["redaction"]["mode"] = override
    return Config.model_validate(document)


def test_with_protection_off_the_request_is_the_same(journey: Journey) -> None:
    """The very object."""
    assert Redactor().clean(REQUEST, journey.state.config, "openai") is REQUEST


@pytest.mark.parametrize(("mode", "override"), [("mask", None), ("block", None), ("placeholder", None), ("off", "mask")])
def test_protection_that_is_not_there_is_not_pretended(mode: str, override: str | None, journey: Journey) -> None:
    """It raises, and the call is answered with 502: nothing is sent unprotected."""
    journey.state.config = with_outgoing(journey.state.config, mode, override)
    with pytest.raises(Unprotected):
        Redactor().clean(REQUEST, journey.state.config, "openai")
    assert code(journey.send(call())) == (502, "internal_error")


def test_an_upstreams_own_policy_goes_before_the_general_one(journey: Journey) -> None:
    """`upstreams.NAME.redaction`."""
    journey.state.config = with_outgoing(journey.state.config, "mask", "off")
    assert Redactor().clean(REQUEST, journey.state.config, "openai") is REQUEST
