"""The words between our HTTP stream and the add-ons."""

from __future__ import annotations

from mitmproxy import hooks
from mitmproxy.addons import default_addons

from addons.proxycore import hooks as ours


def test_hooks_are_called_as_they_are_documented() -> None:
    """Their names follow from their classes; mitmproxy knows them, and has none of its own that is called so."""
    names = {"request_stream": ours.RequestStreamHook, "upstream_failed": ours.UpstreamFailedHook, "attempt_due": ours.AttemptDueHook}
    assert {name: hooks.all_hooks[name] for name in names} == names
    assert not [addon for addon in default_addons() for name in names if hasattr(addon, name)]


def test_keys_of_metadata_are_told_apart() -> None:
    """Each its own, and none that mitmproxy uses."""
    keys = [value for name, value in vars(ours).items() if name.isupper() and isinstance(value, str)]
    assert len(keys) == len(set(keys)) > 5
    assert all(key.startswith("turnpike_") for key in keys)
