"""What is wrong with a configuration although each value is right by itself, and which settings do nothing yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from addons.config_errors import nearest, show
from addons.core.keyformats import misfit
from addons.core.redaction.ruleset import RuleError
from addons.core.routes import READY_MADE_BY_NAME, normal
from addons.core.strategies import READY_MADE
from addons.rulefiles import RULE_SETS, read_rules

if TYPE_CHECKING:
    from addons.config import Config

Loc = tuple[str | int, ...]
_GLOB = re.compile(r"[*?\[]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")
_PATH = re.compile(r"/[\x21-\x7e]*")
RESERVED_NAMES = ("v1", "v1beta", "api")
"""First segments of providers' own paths: `{prefix}/v1/…` would not tell which is meant."""

NOT_YET: dict[str, str] = {}
"""Settings that are modelled but do nothing yet, and what they wait for: only their default is taken. Delete a line when it works."""


class Problem(NamedTuple):
    """Where, and what is wrong with the value there and what would be right; the value is put before it."""

    loc: Loc
    text: str


def problems(config: Config) -> Iterator[Problem]:
    """All that is wrong, gravest first."""
    yield from _names(config)
    yield from _defaults(config)
    yield from _hosts(config)
    yield from _routes(config)
    yield from _probes(config)
    yield from _rules(config)
    if not config.state.is_remote and config.state.path == config.capture.database:
        yield Problem(("state", "url"), "is capture.database already, which is shown to people; write another file")
    for pattern, what in NOT_YET.items():
        yield from _not_yet(config, pattern, what)


def _names(config: Config) -> Iterator[Problem]:
    for name in config.upstreams:
        if not _NAME.fullmatch(name):
            yield Problem(("upstreams", name), "has a name that cannot stand in a path; use letters, digits and - . _ ~")
        elif name.lower() in RESERVED_NAMES:
            yield Problem(("upstreams", name), f"has a name that providers' paths begin with ({', '.join(RESERVED_NAMES)}); rename it")


def _defaults(config: Config) -> Iterator[Problem]:
    defaults = [name for name, upstream in config.upstreams.items() if upstream.default]
    for name in defaults[1:]:
        yield Problem(("upstreams", name, "default"), f"but upstreams.{defaults[0]} is the default already; leave true on one of them")


def _hosts(config: Config) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, upstream in config.upstreams.items():
        for index, host in enumerate(upstream.hosts):
            owner = owners.setdefault(host, name)
            if owner != name:
                yield Problem(("upstreams", name, "hosts", index), f"is a host of upstreams.{owner} already; name it in one of them")


def _routes(config: Config) -> Iterator[Problem]:
    names: dict[str, int] = {}
    for number, route in enumerate(config.routes):
        first = names.setdefault(route.name.casefold(), number)
        if first != number:
            yield Problem(("routes", number, "name"), f"is the name of routes.{first} already; clients choose routes by name")
    for number, route in enumerate(config.routes):
        if not route.to and normal(route.name) not in READY_MADE_BY_NAME:
            known = " and ".join(READY_MADE)
            yield Problem(("routes", number, "to"), f"but required; name upstreams (only routes named {known} do without)")
        named: list[tuple[Loc, str]] = [(("routes", number, "to", n, "upstream"), to.upstream) for n, to in enumerate(route.to)]
        if not _GLOB.search(route.match.upstream):
            named.append((("routes", number, "match", "upstream"), route.match.upstream))
        for loc, name in named:
            if name not in config.upstreams:
                known = ", ".join(config.upstreams) or "none"
                yield Problem(loc, f"is no upstream; known are {known}{nearest(name, config.upstreams)}")


def _rules(config: Config) -> Iterator[Problem]:
    for index, name in enumerate(config.redaction.rules):
        try:
            read_rules([name] if name not in RULE_SETS else [])
        except RuleError as error:
            sets = " and ".join(RULE_SETS)
            yield Problem(
                ("redaction", "rules", index), f"has no rules that can be used: {error}; {sets} are ready made, all else is a file"
            )


def _probes(config: Config) -> Iterator[Problem]:
    for name, upstream in config.upstreams.items():
        if upstream.probe and upstream.base_url is None:
            yield Problem(("upstreams", name, "probe"), "that asks at a base_url, but there is none: write a base_url beside it")
        elif upstream.probe and not _PATH.fullmatch(upstream.probe.path):
            yield Problem(("upstreams", name, "probe", "path"), "should be a path that begins with /, e.g. /v1/models")


def doubts(config: Config) -> Iterator[str]:
    """What may be a mistake and may be none, a line each: sources of keys that give none, keys that do not look like their provider's."""
    for name, upstream in config.upstreams.items():
        if upstream.keys and name in config.secrets and not config.secrets[name]:
            yield f"upstreams.{name}.keys: none of the variables that it names is set, so it has no key; clients' own credentials go there"
    for name, secrets in config.secrets.items():
        upstream = config.upstreams[name]
        for secret in secrets:
            if problem := misfit(upstream.provider, secret.value, upstream.base_url, upstream.hosts):
                yield f"upstreams.{name}.keys: {secret} {problem}; is it the right key?"


def _not_yet(config: Config, pattern: str, what: str) -> Iterator[Problem]:
    for loc, value, default in _settings(config, pattern.split("."), ()):
        if value != default:
            remedy = "leave it out" if default in (None, (), {}) or isinstance(default, BaseModel) else f"the default is {_plain(default)}"
            yield Problem(loc, f"is not available yet (it waits for {what}); {remedy}")


def _plain(default: Any) -> str:
    if isinstance(default, tuple):
        return f"[{', '.join(default)}]"
    return str(default) if isinstance(default, str) else show(default)


def _settings(node: Any, steps: list[str], loc: Loc) -> Iterator[tuple[Loc, Any, Any]]:
    """The values that a dotted pattern means, each with its place and its default."""
    step, rest = steps[0], steps[1:]
    if step == "*":
        for key, item in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _settings(item, rest, (*loc, key))
    elif rest:
        yield from _settings(getattr(node, step), rest, (*loc, step))
    else:
        default = type(node).model_fields[step].get_default(call_default_factory=True, validated_data={})
        yield (*loc, step), getattr(node, step), default
