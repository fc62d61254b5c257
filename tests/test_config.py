"""The configuration: what it promises to take, to refuse, and to say."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from addons.config import ROOT, Config, ConfigError, ConfigFile, load
from addons.core.providers import PROVIDER_NAMES
from addons.keyvault import VaultFile

Write = Callable[[str], Path]

TWO = "upstreams:\n  a: {provider: openai}\n  b: {provider: anthropic}\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration and gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "turnpike.yml"
        path.write_text(text)
        return path

    return write


def refusal(path: Path, environ: Mapping[str, str] | None = None) -> str:
    """The line that `load` refuses this file with; it is one line and names the file."""
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    assert caught.value.__cause__ is None
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_shipped_file_works_with_nothing_set() -> None:
    """The shipped file loads in an empty environment, has no active key, and opens every known provider."""
    config = load(environ={})
    assert config.source == ROOT / "config/turnpike.yml"
    assert not any(config.secrets.values())
    assert {upstream.provider for upstream in config.upstreams.values()} == set(PROVIDER_NAMES)
    assert all(upstream.hosts or upstream.base_url for upstream in config.upstreams.values())
    assert config.default_upstream is config.upstreams["openai"]
    assert config.upstreams["ollama"].kind == "local"


def test_shipped_file_shows_the_defaults() -> None:
    """Outside `upstreams` the shipped file says what an empty one means."""
    assert load(environ={}).model_dump(exclude={"upstreams"}) == Config().model_dump(exclude={"upstreams"})


def test_shipped_examples_load(write: Write) -> None:
    """The commented examples of keys, routes, strings and prices are valid once uncommented."""
    text = (ROOT / "config/turnpike.yml").read_text()
    for section in ("routes: []", "  strings: []", "prices: {} "):
        text = text.replace(f"\n{section}", f"\n# {section}")
    lines, previous = [], ""
    for line in text.splitlines():
        body = line.lstrip()
        starts = body in ("# keys:", "# routes:", "# strings:", "# prices:") or body.startswith(("# inject", "# rotation"))
        inside = previous and body.startswith("#  ") and not any(place in body for place in ("/run/secrets", "{keyring:", "{vault:"))
        previous = body if (starts or (previous and body.startswith("#"))) else ""
        lines.append(line.replace("# ", "", 1) if starts or inside else line)
    key = "sk-" + secrets.token_hex(16)
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MY_SECRET")
    config = load(write("\n".join(lines)), dict.fromkeys(names, key))
    assert config.routes[0].to[0].model == "openai/gpt-4o"
    assert [route.strategy for route in config.routes] == [("priority",), ("local_first", "lowest_cost"), ("weighted",), ("lowest_cost",)]
    assert config.prices["my-model*"].input == 0.5
    assert [key.label for key in config.secrets["openai"]] == ["env OPENAI_API_KEY"]
    assert config.exact_strings[0].value == key


def test_exact_strings_that_are_too_short_are_refused(write: Write) -> None:
    """They would be looked for nowhere; said with their place and length, never with their value."""
    with pytest.raises(ConfigError, match=r"redaction\.strings\.0\.env.*holds 7 characters; write 8 or more") as caught:
        load(write("redaction: {strings: [{env: SHORT}]}"), {"SHORT": "abcdefg"})
    assert "abcdefg" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "version: 1\n", "proxy:\nupstreams:\nroutes:\ncapture:\n  keep:\n", "upstreams: {}\n"])
def test_everything_is_optional(write: Write, text: str) -> None:
    """A file that says nothing has the defaults; so has a section of which only the name stands there."""
    assert load(write(text), {}).model_dump() == Config().model_dump()


def test_values_arrive(write: Write) -> None:
    """What works now is taken: sizes become bytes, paths start at the root, names their upstream."""
    text = """
proxy: {host: 0.0.0.0, port: "9000", prefix: /llm, names: [Proxy.Example], allow_remote: true, other_hosts: block,
        max_held_body: 1 kB, websocket: refuse}
upstreams:
  mine: {base_url: "http://127.0.0.1:9/v1/", hosts: ["*.Example.com"], inject: placeholder, inject_for: [x], rotation: sequential}
  groq:
routes:
  - {match: {header: {X-Team: r*}}, to: [{upstream: mine, model: m}, {upstream: groq}]}
capture: {database: d/x.db, bodies: false, max_body: 5}
prices: {"m*": {input: 1, output: 2.5, cache_read: 0.1, cache_write: 1.25, cache_write_1h: 2, reasoning: 3}}
logs: {level: debug}
"""
    config = load(write(text), {})
    assert config.proxy.model_dump() == {
        "host": "0.0.0.0",
        "port": 9000,
        "prefix": "/llm",
        "names": ("proxy.example",),
        "allow_remote": True,
        "other_hosts": "block",
        "max_held_body": 1000,
        "websocket": "refuse",
        "shutdown_grace": 10,
    }
    assert config.upstreams["mine"].base_url == "http://127.0.0.1:9/v1"
    assert (config.upstreams["mine"].name, config.upstreams["mine"].provider) == ("mine", "openai")
    assert config.upstreams["groq"].provider == "groq"
    assert config.routes[0].name == "route 1"
    assert [(to.upstream, to.model) for to in config.routes[0].to] == [("mine", "m"), ("groq", None)]
    assert config.capture.database == ROOT / "d/x.db"
    assert (config.capture.bodies, config.capture.max_body) == (False, 5)
    assert list(config.prices["m*"].model_dump().values()) == [1, 2.5, 0.1, 1.25, 2, 3]


def test_routes_and_model_settings_arrive(write: Write) -> None:
    """Filters and aliases of an upstream; strategies, weights and requirements of a route, one or a list of them."""
    text = """
upstreams: {a: {models: {allow: ["gpt*"], deny: ["*preview*"]}, aliases: {fast: gpt-4o-mini}}, b: }
routes:
  - {strategy: [local_first, lowest_cost], require: {min_context: 32000, capabilities: [tools, vision]},
     to: [{upstream: a, weight: 3}, {upstream: b}]}
  - {strategy: weighted, require: {capabilities: audio}, to: [{upstream: a}]}
"""
    config = load(write(text), {})
    upstream, (first, second) = config.upstreams["a"], config.routes
    assert (upstream.models.allow, upstream.models.deny, upstream.aliases) == (("gpt*",), ("*preview*",), {"fast": "gpt-4o-mini"})
    assert (first.strategy, [to.weight for to in first.to]) == (("local_first", "lowest_cost"), [3, 1])
    assert (first.require.min_context, first.require.capabilities) == (32000, ("tools", "vision"))
    assert (second.strategy, second.require.capabilities) == (("weighted",), ("audio",))


@pytest.mark.parametrize(
    ("route", "strategy", "upstreams"),
    [
        ("{name: Minimum Cost}", ("lowest_cost",), []),
        ("{name: minimum_cost, to: , strategy: }", ("lowest_cost",), []),
        ("{name: Maximum Performance, match: {client: x}}", ("fastest",), []),
        ("{name: Maximum Performance, strategy: [local_first, fastest]}", ("local_first", "fastest"), []),
        ("{name: minimum-cost, to: [{upstream: a}]}", ("lowest_cost",), ["a"]),
        ("{name: minimum, to: [{upstream: a}]}", ("priority",), ["a"]),
    ],
)
def test_ready_made_routes_need_no_destinations(write: Write, route: str, strategy: tuple[str, ...], upstreams: list[str]) -> None:
    """Their names, however they are spelled, stand for a strategy, unless the route says otherwise."""
    (found,) = load(write(f"{TWO}routes: [{route}]"), {}).routes
    assert (found.strategy, [to.upstream for to in found.to]) == (strategy, upstreams)


REFUSED: list[tuple[str, str, str]] = [  # file, dotted path and line, what is said
    ("prxy: {}", "prxy (line 1)", "did you mean proxy?"),
    ("proxy:\n  prot: 1", "proxy.prot (line 2)", "no such setting; known here: host, port"),
    ("version: 2", "version (line 1)", "2 should be 1"),
    ("proxy: {port: abc}", "proxy.port (line 1)", "'abc' should be a whole number"),
    ("proxy: {port: 70000}", "proxy.port (line 1)", "70000 should be less than or equal to 65535"),
    ("proxy: {port: true}", "proxy.port (line 1)", "true should be a number"),
    ("proxy: []", "proxy (line 1)", "a list should be a section"),
    ("proxy: {prefix: proxy}", "proxy.prefix (line 1)", "begins with /"),
    ("proxy: {prefix: /proxy/}", "proxy.prefix (line 1)", "does not end with it"),
    ("proxy: {other_hosts: tunel}", "proxy.other_hosts (line 1)", "'tunel' should be 'tunnel' or 'block'"),
    ("proxy: {allow_remote: maybe}", "proxy.allow_remote (line 1)", "'maybe' should be true or false"),
    ("proxy: {max_held_body: 64 MiBs}", "proxy.max_held_body (line 1)", "write bytes, or e.g. 64 MiB"),
    ("proxy: {names: x}", "proxy.names (line 1)", "'x' should be a list"),
    ("upstreams:\n  a: {provider: opanai}", "upstreams.a.provider (line 2)", "should be one of anthropic, azure"),
    ("upstreams: {a: {base_url: api.openai.com}}", "upstreams.a.base_url (line 1)", "'api.openai.com' is no URL; write e.g. https://"),
    ("upstreams: {a: {base_url: 'https://h:x/'}}", "upstreams.a.base_url (line 1)", "is no URL"),
    ("upstreams: {a: {base_url: 'https://h/?a=b'}}", "upstreams.a.base_url (line 1)", "keys belong in keys:"),
    ("upstreams: {a: {hosts: ['https://h']}}", "upstreams.a.hosts.0 (line 1)", "write the name alone"),
    ("upstreams: {a: {hosts: ['h:443']}}", "upstreams.a.hosts.0 (line 1)", "write the name alone"),
    ("upstreams: {a: {rotation: random}}", "upstreams.a.rotation (line 1)", "'least_used' or 'balanced'"),
    ("upstreams: {a: {name: b}}", "upstreams (line 1)", "the name is the one before the colon"),
    ("upstreams: {v1: {}}", "upstreams.v1 (line 1)", "(v1, v1beta, api); rename it"),
    ("upstreams: {V1Beta: {}}", "upstreams.V1Beta (line 1)", "rename it"),
    ("upstreams: {a/b: {}}", "upstreams.a/b (line 1)", "use letters, digits"),
    (
        "upstreams:\n  a: {default: true}\n  b: {default: true}",
        "upstreams.b.default (line 3)",
        "true but upstreams.a is the default already",
    ),
    ("upstreams:\n  a: {hosts: [h.x]}\n  b: {hosts: [g.x, H.x]}", "upstreams.b.hosts.1 (line 3)", "host of upstreams.a already"),
    ("upstreams:\n  a: {}\n  a: {}", "upstreams.a (line 3)", "given twice, on lines 2 and 3"),
    ("proxy: {port: 1, port: 2}", "proxy.port (line 1)", "given twice"),
    (TWO + "routes: [{to: [{upstream: c}]}]", "routes.0.to.0.upstream (line 4)", "'c' is no upstream; known are a, b"),
    (TWO + "routes: [{match: {upstream: c}, to: [{upstream: a}]}]", "routes.0.match.upstream (line 4)", "'c' is no upstream"),
    (TWO + "routes: [{to: []}]", "routes.0.to (line 4)", "at least 1"),
    (TWO + "routes: [{name: x}]", "routes.0.to", "missing but required; name upstreams (only routes named Minimum Cost and"),
    (TWO + "routes: [{to: [{upstream: a}], strategy: fast}]", "routes.0.strategy.0", "should be 'priority'"),
    (TWO + "routes: [{to: [{upstream: a}], strategy: []}]", "routes.0.strategy (line 4)", "at least 1"),
    (TWO + "routes: [{to: [{upstream: a, weight: 0}]}]", "routes.0.to.0.weight (line 4)", "0 should be greater than 0"),
    (
        TWO + "routes: [{to: [{upstream: a}], require: {min_context: 0}}]",
        "routes.0.require.min_context (line 4)",
        "greater than or equal to 1",
    ),
    (
        TWO + "routes: [{to: [{upstream: a}], require: {capabilities: [sight]}}]",
        "routes.0.require.capabilities.0 (line 4)",
        "'tools', 'vision'",
    ),
    ("upstreams: {a: {models: {alow: [x]}}}", "upstreams.a.models.alow (line 1)", "did you mean allow?"),
    ("upstreams: {a: {models: {deny: x}}}", "upstreams.a.models.deny (line 1)", "'x' should be a list"),
    ("upstreams: {a: {aliases: {fast: 5}}}", "upstreams.a.aliases.fast (line 1)", "5 should be a text"),
    ("upstreams: {a: {keys: [{env: NOPE}]}}", "upstreams.a.keys.0.env (line 1)", "variable NOPE is not set; set it, or write NOPE*"),
    ("upstreams: {a: {keys: [{file: nope.key}]}}", "upstreams.a.keys.0.file (line 1)", "'nope.key': no such file"),
    ("upstreams: {a: {keys: [{weight: 1}]}}", "upstreams.a.keys.0 (line 1)", "should name one source"),
    ("upstreams: {a: {keys: [{env: A, file: b}]}}", "upstreams.a.keys.0 (line 1)", "should name one source"),
    ("upstreams: {a: {keys: [{keyring: openai}]}}", "upstreams.a.keys.0.keyring (line 1)", "write SERVICE/USER, never the key itself"),
    ("upstreams: {a: {keys: [{keyring: openai/}]}}", "upstreams.a.keys.0.keyring (line 1)", "write SERVICE/USER"),
    ("upstreams: {a: {keys: [{vault: a b}]}}", "upstreams.a.keys.0.vault (line 1)", "write the name that `turnpike keys add NAME` gave it"),
    ("upstreams: {a: {keys: [{vault: a, env: B}]}}", "upstreams.a.keys.0 (line 1)", "keyring: SERVICE/USER, vault: NAME"),
    ("vault: {passphrase: {vault: a}}", "vault.passphrase.vault (line 1)", "no such setting; known here: env, file, keyring"),
    ("vault: {passphrase: {env: A*}}", "vault.passphrase.env (line 1)", "'A*' names several variables"),
    (
        "vault: {file: none.vault}\nupstreams: {a: {keys: [{vault: a}]}}",
        "upstreams.a.keys.0.vault (line 2)",
        "none.vault is not there; `turnpike keys add NAME` makes it",
    ),
    (
        "vault: {file: none.vault}\nredaction: {strings: [{vault: a}]}",
        "redaction.strings.0.vault (line 2)",
        "none.vault is not there",
    ),
    ("redaction: {strings: [{env: NOPE}]}", "redaction.strings.0.env (line 1)", "NOPE is not set"),
    ("redaction: {strings: [{env: A, weight: 2}]}", "redaction.strings.0.weight (line 1)", "no such setting"),
    ("prices: {m: {input: 1}}", "prices.m.output", "missing but required"),
    ("prices: {m: {input: 1, output: 1, cache_read: -1}}", "prices.m.cache_read (line 1)", "-1 should be greater than or equal to 0"),
    ("prices: {m: {input: -1, output: 1}}", "prices.m.input (line 1)", "-1 should be greater than or equal to 0"),
    ("capture: {database: 5}", "capture.database (line 1)", "5 should be a path"),
    ("upstreams: {1: {}}", "upstreams.1", "put quotes around it"),
    ("logs: {level: loud}", "logs.level (line 1)", "'debug', 'info'"),
]


@pytest.mark.parametrize(("text", "place", "says"), REFUSED)
def test_bad_values_are_named(write: Write, text: str, place: str, says: str) -> None:
    """A refusal is one line: file, dotted path (and line), the value, what would be right."""
    path = write(text)
    line = refusal(path)
    assert line.startswith(f"{path}: {place}: ")
    assert says in line


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        ("upstreams: {{a: {{keys: [{}]}}}}", "upstreams.a.keys.0"),
        ("upstreams: {{a: {{keys: {}}}}}", "upstreams.a.keys"),
        ("upstreams: {{a: {{keys: [{{env: {}}}]}}}}", "upstreams.a.keys.0.env"),
        ("upstreams: {{a: {{keys: [{{file: {}}}]}}}}", "upstreams.a.keys.0.file"),
        ("upstreams: {{a: {{keys: [{{keyring: {}}}]}}}}", "upstreams.a.keys.0.keyring"),
        ("upstreams: {{a: {{keys: [{{keyring: turnpike/{}}}]}}}}", "upstreams.a.keys.0.keyring"),
        ("upstreams: {{a: {{keys: [{{vault: {}}}]}}}}", "upstreams.a.keys.0.vault"),
        ("vault: {{passphrase: {}}}", "vault.passphrase"),
        ("vault: {{passphrase: {{env: {}}}}}", "vault.passphrase.env"),
        ("upstreams: {{a: {{keys: [{{env: A, weight: {}}}]}}}}", "upstreams.a.keys.0.weight"),
        ("upstreams: {{a: {{keys: [{{value: {}}}]}}}}", "upstreams.a.keys.0.value"),
        ("upstreams: {{a: {{keys: [{{{}: 1}}]}}}}", "upstreams.a.keys.0."),
        ("upstreams: {{a: {{api_key: {}}}}}", "upstreams.a.api_key"),
        ("upstreams: {{a: {{base_url: 'https://u:{}@h/'}}}}", "upstreams.a.base_url"),
        ("upstreams: {{a: {{base_url: 'https://h/?key={}'}}}}", "upstreams.a.base_url"),
        ("upstreams: {{a: {{inject: {}}}}}", "upstreams.a.inject"),
        ("redaction: {{strings: [{}]}}", "redaction.strings.0"),
        ("state: {{url: 'redis:/:{}@h'}}", "state.url"),
        ("proxy: {{port: '${{{}}}'}}", "proxy.port"),
        ("proxy: {{port: '${{PORT:-{}}}'}}", "proxy.port"),
        ("proxy: {{{0}: 1, {0}: 2}}", "proxy."),
        ("proxy: *{}", "not YAML"),
    ],
)
@pytest.mark.parametrize("make", [lambda: "sk-" + secrets.token_urlsafe(24), lambda: secrets.token_hex(16)])
def test_a_key_put_into_the_file_is_not_shown(write: Write, wrap: str, place: str, make: Callable[[], str]) -> None:
    """Wherever somebody writes a key itself, the error says where, and shows no more of it than four characters."""
    key = make()
    line = refusal(write(wrap.format(key)))
    assert place in line
    assert key not in line
    assert key[:-5] not in line
    assert key[3:-5] not in line


def test_a_short_or_odd_key_is_not_shown_where_keys_stand(write: Write) -> None:
    """Under `keys` a text is shown only if it is plainly a name: what has no key's shape is masked too."""
    odd = "".join(secrets.choice("bcdfghjklm") for _ in range(10)) + "+x"
    for text in (f"upstreams: {{a: {{keys: [{odd}]}}}}", f"upstreams: {{a: {{keys: [{{env: {odd}}}]}}}}"):
        assert odd not in refusal(write(text))


def test_what_a_variable_holds_is_not_shown(write: Write) -> None:
    """An error shows the reference as it stands in the file, not what the environment holds."""
    value = "hunter" + secrets.token_hex(2)
    line = refusal(write("proxy: {port: '${PORT}'}"), {"PORT": value})
    assert value not in line
    assert "proxy.port (line 1): '${PORT}' should be a whole number" in line


def test_reprs_hold_no_key(write: Write, tmp_path: Path) -> None:
    """Neither the configuration nor a secret tells its value by repr or str."""
    key = "sk-" + secrets.token_hex(16)
    (tmp_path / "key").write_text(key + "\n")
    text = f"upstreams: {{a: {{keys: [{{env: K}}, {{file: {tmp_path / 'key'}}}]}}}}\nredaction: {{strings: [{{env: K}}]}}"
    config = load(write(text), {"K": key})
    assert [secret.value for secret in config.secrets["a"]] == [key], "named twice, it is one key"
    shown = f"{config!r} {config} {config.secrets} {config.exact_strings} {config.secrets['a'][0]}"
    assert key not in shown
    assert config.exact_strings[0].value == key


def test_references_are_replaced_everywhere(write: Write) -> None:
    """${NAME} and ${NAME:-default} work in any value; an empty variable has the default, as in a shell."""
    text = """
proxy: {port: "${PORT:-9001}", names: ["${A}.example", "${EMPTY:-x}.example"]}
upstreams: {a: {base_url: "https://${A}/v1", keys: [{env: "${A}_KEY"}]}}
"""
    config = load(write(text), {"A": "HOST", "EMPTY": "", "HOST_KEY": "k" * 12})
    assert (config.proxy.port, config.proxy.names) == (9001, ("host.example", "x.example"))
    assert config.upstreams["a"].base_url == "https://HOST/v1"
    assert config.secrets["a"][0].label == "env HOST_KEY"


def test_database_comes_from_the_environment(write: Write, tmp_path: Path) -> None:
    """TURNPIKE_DB names the database where the file does not, also when the section is missing."""
    for text in ("", "capture:\n", "capture: {bodies: true}"):
        assert load(write(text), {"TURNPIKE_DB": str(tmp_path / "x.db")}).capture.database == tmp_path / "x.db"
    assert load(write("capture: {database: y.db}"), {"TURNPIKE_DB": "x.db"}).capture.database == ROOT / "y.db"


def test_upstreams_from_the_environment(write: Write) -> None:
    """TURNPIKE_UPSTREAMS adds upstreams, with references and keys like those of the file."""
    added = json.dumps([{"name": "mine", "provider": "ollama", "base_url": "http://${BOX}:11434", "keys": [{"env": "K"}]}])
    config = load(write(TWO), {"TURNPIKE_UPSTREAMS": added, "BOX": "box", "K": "k" * 12})
    assert list(config.upstreams) == ["a", "b", "mine"]
    assert config.upstreams["mine"].base_url == "http://box:11434"
    assert config.secrets["mine"][0].label == "env K"


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ("[", "TURNPIKE_UPSTREAMS: not JSON at character 1"),
        ("{}", "TURNPIKE_UPSTREAMS: a section; should be a list"),
        ('["x"]', "TURNPIKE_UPSTREAMS: 0: 'x'; should be an object with a name"),
        ('[{"provider": "openai"}]', "TURNPIKE_UPSTREAMS: 0: a section; should be an object with a name"),
        ('[{"name": "a"}]', "TURNPIKE_UPSTREAMS: 0.name: 'a' is an upstream already"),
        ('[{"name": "c"}, {"name": "c"}]', "TURNPIKE_UPSTREAMS: 1.name: 'c' is an upstream already"),
        ('[{"name": "c", "kind": "x"}]', "TURNPIKE_UPSTREAMS: 0.kind: 'x' should be 'local'"),
        ('[{"name": "c", "kind": "api", "kind": "local"}]', "TURNPIKE_UPSTREAMS: 'kind' is given twice"),
        ('[{"name": "c", "base_url": "${NOPE}"}]', "TURNPIKE_UPSTREAMS: 0.base_url: environment variable NOPE is not set"),
    ],
)
def test_bad_upstreams_from_the_environment(write: Write, added: str, says: str) -> None:
    """What is wrong in TURNPIKE_UPSTREAMS is named by its place there."""
    assert says in refusal(write(TWO), {"TURNPIKE_UPSTREAMS": added})


def test_hosts_find_their_upstream(write: Write) -> None:
    """Names are compared without case; a plain name comes before a glob, globs in the order of the file."""
    config = load(write("upstreams: {a: {hosts: ['*.x.com']}, b: {hosts: [api.X.com]}, c: {hosts: ['*.com']}}"), {})
    found = {
        host: getattr(config.upstream_for_host(host), "name", None) for host in ("API.x.com", "q.x.com", "y.com", "x.org", "api.x.com.")
    }
    assert found == {"API.x.com": "b", "q.x.com": "a", "y.com": "c", "x.org": None, "api.x.com.": "b"}


def test_which_file_is_read(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file named, else TURNPIKE_CONFIG, else the shipped one; a missing one is an error with a remedy."""
    path = write("proxy: {port: 1234}")
    assert load(None, {"TURNPIKE_CONFIG": str(path)}).source == path
    monkeypatch.chdir(tmp_path)
    assert load("turnpike.yml", {"TURNPIKE_CONFIG": "nope.yml"}).proxy.port == 1234
    assert load("config/turnpike.yml", {}).source == ROOT / "config/turnpike.yml"
    assert "no such file; name one with" in refusal(tmp_path / "nope.yml")


def test_a_new_key_in_a_file_is_seen(write: Write, tmp_path: Path) -> None:
    """The reloader watches key files too, and reads them again."""
    key_file = tmp_path / "key"
    key_file.write_text("first-key-of-all")
    config = ConfigFile(write(f"upstreams: {{a: {{keys: [{{file: {key_file}}}]}}}}"), {})
    assert not config.changed()
    key_file.write_text("second-key-of-all")
    assert config.changed()
    assert config.reload().secrets["a"][0].value == "second-key-of-all"
    assert config.current.secrets["a"][0].value == "second-key-of-all"
    assert not config.changed()


def test_a_missing_key_file_is_waited_for(write: Write, tmp_path: Path) -> None:
    """After a reload that failed for want of a key file, the file's coming is a change."""
    config = ConfigFile(write("proxy: {port: 1}"), {})
    write(f"upstreams: {{a: {{keys: [{{file: {tmp_path / 'key'}}}]}}}}")
    with pytest.raises(ConfigError, match="no such file"):
        config.reload()
    assert config.current.proxy.port == 1
    assert not config.changed()
    (tmp_path / "key").write_text("k" * 12)
    assert config.changed()
    assert config.reload().secrets["a"][0].value == "k" * 12


def test_a_change_in_the_vault_is_seen(write: Write, tmp_path: Path) -> None:
    """The reloader watches the vault, also while it is missing, and the file with its passphrase; a vault that nobody uses it does not."""
    vault, passphrase = VaultFile(tmp_path / "keys.vault"), tmp_path / "passphrase"
    passphrase.write_text("open sesame\n")
    place = f"vault: {{file: {vault.path}, passphrase: {{file: {passphrase}}}}}\n"
    config = ConfigFile(write(place), {})
    vault.change("open sesame", lambda keys: keys.update(a="first-key-of-all"))
    assert not config.changed()
    assert load(write(f"{place}redaction: {{strings: [{{vault: a}}]}}"), {}).watched[1:] == (vault.path, passphrase)
    write(f"{place}upstreams: {{a: {{keys: [{{vault: a}}]}}}}\nredaction: {{strings: [{{vault: a}}]}}")
    config.reload()
    assert (config.current.secrets["a"][0].value, config.current.exact_strings[0].value) == ("first-key-of-all", "first-key-of-all")
    vault.change("open sesame", lambda keys: keys.update(a="second-key-of-all"))
    assert config.changed()
    assert config.reload().secrets["a"][0].value == "second-key-of-all"
    vault.path.unlink()
    with pytest.raises(ConfigError, match="is not there"):
        config.reload()
    assert not config.changed()
    vault.change("open sesame", lambda keys: keys.update(a="third-key-of-all"))
    assert config.changed()
    config.reload()
    passphrase.write_text("another\n")
    assert config.changed()


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """A folder and a file that is not text are refused with a remedy."""
    assert "cannot be read: Is a directory; name a readable file" in refusal(tmp_path)
    (tmp_path / "x.yml").write_bytes(b"a: \xff")
    assert "not UTF-8 at byte 3" in refusal(tmp_path / "x.yml")


def test_default_environment_is_the_process_own() -> None:
    """Without an environment given, the process's is taken."""
    assert load.__defaults__ == (None, os.environ)


def test_without_secrets_no_variable_is_needed(write: Write) -> None:
    """Commands that need no key work in a shell that has none; the rest is checked all the same."""
    text = "upstreams: {a: {keys: [{env: KEY_OF_ANOTHER_SHELL}]}}"
    assert load(write(text), {}, secrets=False).secrets == {}
    with pytest.raises(ConfigError, match="KEY_OF_ANOTHER_SHELL"):
        load(write(text), {})
    with pytest.raises(ConfigError, match="default"):
        load(write("upstreams:\n  a: {default: true}\n  b: {default: true}\n"), {}, secrets=False)


@pytest.mark.parametrize("text", ["x: 2001-99-99", "x: !!int 'zz'", "x: " + "[" * 5000 + "]" * 5000])
def test_values_that_are_not_what_they_look_like(write: Write, text: str) -> None:
    """YAML makes dates and numbers of some texts; what is none is one line, not a traceback."""
    assert "turnpike.yml" in refusal(write(text))
