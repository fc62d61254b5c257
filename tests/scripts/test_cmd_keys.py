"""`turnpike keys`."""

from __future__ import annotations

import json
import os
import pty
import secrets
import select
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from addons.keyvault import VaultFile
from scripts import cmd_keys
from scripts.cmd_keys import command
from scripts.fake_provider.server import FakeProvider, running_fake_provider
from scripts.launch import program
from tests.e2e.harness import free_port, new_key
from tests.memory_keyring import MemoryKeyring, used

PASSPHRASE = "a passphrase, for tests"
VARIABLES = {"TURNPIKE_VAULT_PASSPHRASE": PASSPHRASE}
WAIT_S = 30.0
OPENAI = "https://api.openai.com/v1"


class Keys:
    """The command in a folder with a configuration and a vault of its own."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "turnpike.yml"
        self.vault = VaultFile(folder / "data" / "keys.vault")
        self.write()

    def write(self, **upstreams: Any) -> None:
        self.config.write_text(json.dumps({"vault": {"file": str(self.vault.path)}, "upstreams": upstreams}))

    def run(self, *arguments: str, given: str = "", env: Mapping[str, str] = VARIABLES) -> Result:
        subcommand, *rest = arguments
        return CliRunner().invoke(command, [subcommand, "--config", str(self.config), *rest], input=given, env=dict(env))

    def add(self, name: str, key: str, *options: str) -> Result:
        return self.run("add", name, *options, given=f"{key}\n")

    @property
    def held(self) -> dict[str, str]:
        return self.vault.read(lambda: PASSPHRASE)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with running_fake_provider() as fake:
        yield fake


@pytest.fixture
def fake(provider: FakeProvider) -> FakeProvider:
    """Nothing set, nothing seen."""
    provider.clear()
    return provider


def failed(result: Result, says: str, status: int = 1) -> None:
    """It ended with this status, and its last line says why."""
    assert result.exit_code == status, result.output
    assert says in result.stderr.splitlines()[-1]
    assert status == 2 or result.stderr.count("\n") == 1


# add


def test_a_key_is_taken_from_a_pipe(keys: Keys) -> None:
    """It is in the vault, its last four characters on the screen, and it stands nowhere in clear."""
    key = new_key()
    done = keys.add("openai-main", key)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"openai-main (…{key[-4:]}) is in {keys.vault.path}",
        "to use it, write under the keys: of an upstream: - {vault: openai-main}",
    ]
    assert keys.held == {"openai-main": key}
    assert not [path for path in keys.vault.path.parent.iterdir() if key.encode() in path.read_bytes()]


def test_a_name_that_is_taken_needs_force(keys: Keys) -> None:
    """The key under it stays until then; it is said before a key is asked for."""
    first, second = new_key(), new_key()
    keys.add("main", first)
    failed(keys.run("add", "main", given=""), "has a key main already; replace it with --force, or choose another name")
    assert keys.held == {"main": first}
    assert keys.add("main", second, "--force").exit_code == 0
    assert keys.held == {"main": second}


def test_a_name_that_was_taken_meanwhile_is_seen(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else added it while the key was typed in."""
    quicker = new_key()

    def typed_slowly(_name: str) -> str:
        keys.vault.change(PASSPHRASE, lambda held: held.update(main=quicker))
        return new_key()

    monkeypatch.setattr(cmd_keys, "read_key", typed_slowly)
    failed(keys.run("add", "main"), "has a key main already")
    assert keys.held == {"main": quicker}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("two words\n", "holds a blank"),
        ("one-key\nanother-key\n", "holds a blank"),
        ("Bearer x\n", "holds a blank"),
    ],
)
def test_what_is_no_key_is_refused(keys: Keys, given: str, says: str) -> None:
    """Nothing is made of it."""
    failed(keys.run("add", "main", given=given), f"the key {says}")
    assert not keys.vault.exists()


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "x" * 101])
def test_an_odd_name_is_wrong_usage(keys: Keys, name: str) -> None:
    """Names stand in the configuration and in the log."""
    failed(keys.run("add", "--", name, given="x" * 20), "is no name for a key", 2)


def test_a_key_in_the_place_of_the_name_is_not_shown(keys: Keys) -> None:
    """Somebody who gives the key as an argument is told, without seeing it once more."""
    key = new_key("sk-proj-")
    done = keys.run("add", key)
    failed(done, "never the key itself", 2)
    assert key not in done.output


def test_without_the_right_passphrase_nothing_is_written(keys: Keys) -> None:
    """None, an empty one, another one."""
    failed(keys.run("add", "main", given=new_key(), env={}), "TURNPIKE_VAULT_PASSPHRASE is not set; set it to the vault's passphrase")
    failed(keys.run("add", "main", given=new_key(), env={"TURNPIKE_VAULT_PASSPHRASE": ""}), "is empty")
    assert not keys.vault.exists()
    keys.add("main", new_key())
    before = keys.vault.path.read_bytes()
    other = {"TURNPIKE_VAULT_PASSPHRASE": "another"}
    failed(keys.run("add", "second", given=new_key(), env=other), "is not opened by this passphrase")
    failed(keys.run("remove", "main", env=other), "is not opened by this passphrase")
    assert keys.vault.path.read_bytes() == before


def test_a_key_that_looks_like_anothers_is_warned_of(keys: Keys) -> None:
    """By the provider that is named, or by the upstream that uses it; it is taken all the same. Other hosts take any form."""
    key = new_key("sk-ant-")
    done = keys.add("main", key, "--provider", "openai")
    assert done.exit_code == 0
    assert done.stderr == "warning: the key does not begin as openai's keys do (sk-…), but as anthropic's; is it the right one?\n"
    assert keys.add("main", key, "--force", "--provider", "anthropic").stderr == ""
    keys.write(a={"provider": "groq", "base_url": "https://api.groq.com/openai/v1", "keys": [{"vault": "main"}]})
    done = keys.add("main", key, "--force")
    assert "does not begin as groq's keys do" in done.stderr and "to use it" not in done.stdout
    keys.write(a={"provider": "groq", "base_url": "http://127.0.0.1:8000/v1", "keys": [{"vault": "main"}]})
    assert keys.add("main", key, "--force").stderr == ""


class Terminal:
    """The command on a terminal: what is typed when it asks, and all that the screen showed."""

    def __init__(self, *arguments: str) -> None:
        self.screen = b""
        self.end, other = pty.openpty()
        opened = ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(other)]  # whoever opens it in a new session is controlled by it
        self.process = subprocess.Popen([*opened, program("turnpike"), "keys", *arguments], start_new_session=True)
        self.other = other  # kept open until the end: with no other end open, reading would fail before the command has begun

    def type(self, prompt: str, text: str) -> None:
        """Answer a prompt."""
        while prompt.encode() not in self.screen.rpartition(b"\n")[2]:
            self._read()
        os.write(self.end, f"{text}\n".encode())
        self._read()  # the line end that it shows instead

    def _read(self) -> None:
        if not select.select([self.end], [], [], WAIT_S)[0]:
            self.process.kill()
            raise AssertionError(f"nothing more came: {self.screen!r}")
        self.screen += os.read(self.end, 1000)

    def finish(self) -> int:
        """The exit status."""
        status = self.process.wait(WAIT_S)
        os.set_blocking(self.end, False)
        with suppress(BlockingIOError):
            while more := os.read(self.end, 1000):
                self.screen += more
        os.close(self.end)
        os.close(self.other)
        return status


def test_on_a_terminal_key_and_passphrase_are_asked_for_unseen(keys: Keys) -> None:
    """A new vault's passphrase twice; afterwards once."""
    first, second = new_key(), new_key()
    terminal = Terminal("add", "--config", str(keys.config), "first")
    terminal.type("New passphrase:", PASSPHRASE)
    terminal.type("Repeat for confirmation:", PASSPHRASE)
    terminal.type("Key first:", first)
    assert terminal.finish() == 0, terminal.screen
    assert f"first (…{first[-4:]}) is in".encode() in terminal.screen
    again = Terminal("add", "--config", str(keys.config), "second")
    again.type("Passphrase of the vault:", PASSPHRASE)
    again.type("Key second:", second)
    assert again.finish() == 0, again.screen
    assert keys.held == {"first": first, "second": second}
    for text in (first, second, PASSPHRASE):
        assert text.encode() not in terminal.screen + again.screen


# remove


def test_a_key_is_taken_out(keys: Keys) -> None:
    """Where the configuration still names it, that is said."""
    keys.write(openai={"base_url": OPENAI, "keys": [{"vault": "main"}]})
    keys.add("main", new_key())
    keys.add("spare", new_key())
    assert keys.run("remove", "spare").stderr == ""
    done = keys.run("remove", "main")
    assert (done.exit_code, done.stdout) == (0, f"main is no longer in {keys.vault.path}\n")
    assert done.stderr == "warning: upstreams.openai.keys still names it; take it out there, or the configuration can't be loaded\n"
    assert keys.held == {}


def test_what_is_not_there_cannot_be_taken_out(keys: Keys) -> None:
    """The names that are there help; a key given as the name is not shown."""
    failed(keys.run("remove", "main"), f"there is no vault {keys.vault.path}")
    keys.add("main", new_key())
    failed(keys.run("remove", "mian"), "the vault holds no mian; it holds main")
    key = new_key()
    assert key not in keys.run("remove", key).output


# list


def test_every_key_is_listed_with_its_last_four_characters(keys: Keys, tmp_path: Path) -> None:
    """From each kind of source, with what the entry says of it; what the vault holds besides comes last."""
    one, two, three, four, five = (new_key() for _ in range(5))
    (tmp_path / "key").write_text(three)
    keys.write(
        openai={
            "base_url": OPENAI,
            "keys": [{"env": "K*", "max_concurrent": 4}, {"file": str(tmp_path / "key"), "priority": 2, "weight": 0.5}],
        },
        spare={"base_url": "http://127.0.0.1:1", "keys": [{"vault": "main"}, {"keyring": "turnpike/spare"}]},
    )
    keys.add("main", four)
    keys.add("idle", one)
    with used(MemoryKeyring({("turnpike", "spare"): five})):
        done = keys.run("list", env=VARIABLES | {"K": one, "K_2": two})
    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()[:-1]] == [
        ["upstream", "key", "hint", "priority", "weight", "max_concurrent", "note"],
        ["openai", "env", "K", f"…{one[-4:]}", "1", "1", "4"],
        ["openai", "env", "K_2", f"…{two[-4:]}", "1", "1", "4"],
        ["openai", "file", str(tmp_path / "key"), f"…{three[-4:]}", "2", "0.5", "-"],
        ["spare", "vault", "main", f"…{four[-4:]}", "1", "1", "-"],
        ["spare", "keyring", "turnpike/spare", f"…{five[-4:]}", "1", "1", "-"],
    ]
    assert done.stdout.splitlines()[-1] == f"in {keys.vault.path}, but named nowhere: idle (…{one[-4:]})"
    assert not [key for key in (one, two, three, four, five) if key[:-4] in done.output]


def test_what_is_odd_stands_beside_the_key(keys: Keys) -> None:
    """Not to be had here, twice the same, another provider's: each is a line, and holds up no other."""
    key = new_key("gsk_")
    keys.write(openai={"base_url": OPENAI, "keys": [{"env": "NOPE"}, {"env": "NONE*"}, {"env": "K"}, {"env": "K*"}, {"vault": "main"}]})
    done = keys.run("list", env={"K": key})
    assert done.exit_code == 0
    for line, note in zip(
        done.stdout.splitlines()[1:],
        (
            "environment variable NOPE is not set; set it, or write NOPE* if it need not be",
            "no such variable is set",
            "does not begin as openai's keys do (sk-…), but as groq's",
            "the same key as env K, which counts",
            "is not there; `turnpike keys add NAME` makes it, or name another file in vault.file",
        ),
        strict=True,
    ):
        assert line.endswith(note)


def test_a_key_too_short_for_a_hint_has_none(keys: Keys) -> None:
    """Four characters would be too much of it."""
    keys.write(mine={"base_url": "http://127.0.0.1:1", "keys": [{"env": "K"}]})
    done = keys.run("list", env={"K": "abcdefghijk"})
    assert "…  " in done.stdout and "hijk" not in done.stdout


def test_a_vault_that_stays_shut_is_said(keys: Keys) -> None:
    """The keys that can be had are listed all the same; the end is 1 where the configuration names keys in it, else it is a note."""
    keys.add("main", new_key())
    keys.write(mine={"base_url": "http://127.0.0.1:1", "keys": [{"env": "K"}]})
    done = keys.run("list", env={"K": "k" * 12})
    assert done.exit_code == 0
    assert "note:" in done.output
    keys.write(mine={"base_url": "http://127.0.0.1:1", "keys": [{"env": "K"}, {"vault": "main"}]})
    done = keys.run("list", env={"K": "k" * 12})
    failed(done, "TURNPIKE_VAULT_PASSPHRASE is not set")
    assert "…kkkk" in done.stdout


def test_without_keys_that_is_said(keys: Keys) -> None:
    """Of both commands."""
    assert keys.run("list").stdout == f"no upstream in {keys.config} has keys\n"
    done = keys.run("test")
    assert (done.exit_code, done.stdout) == (0, "there are no keys to test\n")


# test


def upstream(fake: FakeProvider, provider: str = "openai", path: str = "/v1", **more: Any) -> dict[str, Any]:
    return {"provider": provider, "base_url": f"{fake.url}{path}", "keys": [{"env": f"{provider.upper()}*"}], **more}


def results(result: Result) -> list[tuple[str, str, str]]:
    """(upstream, hint, result) of each line."""
    found = []
    for line in result.stdout.splitlines()[1:]:
        name, _, _, hint, state, *_ = line.split()
        found.append((name, hint, state))
    return found


def test_living_keys_are_alive(keys: Keys, fake: FakeProvider) -> None:
    """Each provider is asked once per key, by a GET in its own style, without a detour; the end is 0."""
    roots = {"openai": "/v1", "anthropic": "", "gemini": "", "ollama": "", "groq": "/openai/v1"}
    environ = {name.upper(): new_key() for name in roots}
    keys.write(**{name: upstream(fake, name, root) for name, root in roots.items()})
    proxies = dict.fromkeys(("HTTP_PROXY", "ALL_PROXY"), f"http://127.0.0.1:{free_port()}")  # as in a shell that leads through Turnpike
    done = keys.run("test", env=environ | proxies)
    assert (done.exit_code, done.stderr) == (0, "")
    assert results(done) == [(name, f"…{environ[name.upper()][-4:]}", "alive") for name in roots]
    paths = {
        "openai": "/v1/models",
        "anthropic": "/v1/models",
        "gemini": "/v1beta/models",
        "ollama": "/api/tags",
        "groq": "/openai/v1/models",
    }
    seen = sorted((request.method, request.path.partition("?")[0], request.key) for request in fake.requests)
    assert seen == sorted(("GET", path, environ[name.upper()]) for name, path in paths.items())
    assert not [key for key in environ.values() if key[:-4] in done.output]


@pytest.mark.parametrize(
    ("knobs", "result", "status"),
    [
        ({"status": 401}, "refused", 1),
        ({"status": 403}, "refused", 1),
        ({"status": 403, "message": "Missing scopes: api.model.read"}, "alive", 0),
        ({"status": 400, "message": "API key not valid. Please pass a valid API key."}, "refused", 1),
        ({"status": 429, "retry_after": 20}, "limited", 0),
        ({"status": 500}, "unknown", 0),
        ({"status": 404}, "unknown", 0),
        ({"hang": True}, "unreachable", 1),
        ({"reset": True}, "unreachable", 1),
    ],
)
def test_a_key_is_called_what_its_provider_says(keys: Keys, fake: FakeProvider, knobs: dict[str, Any], result: str, status: int) -> None:
    """Beside one that is alive; the end is 1 if a call could not be made with a key."""
    good, other = new_key(), new_key()
    fake.knobs.set(other, knobs)
    keys.write(openai=upstream(fake))
    done = keys.run("test", "--timeout", "0.5" if "hang" in knobs else "20", env={"OPENAI": good, "OPENAI_1": other})
    assert [state for *_, state in results(done)] == ["alive", result]
    assert (done.exit_code, done.stderr) == (status, "")
    assert len(fake.requests) == 2


def test_an_upstream_that_is_not_there_is_unreachable(keys: Keys) -> None:
    """The end is 1."""
    keys.write(gone={"base_url": f"http://127.0.0.1:{free_port()}/v1", "keys": [{"env": "K"}]})
    done = keys.run("test", env={"K": new_key()})
    assert [state for *_, state in results(done)] == ["unreachable"] and done.exit_code == 1


def test_only_the_named_upstreams_are_tested(keys: Keys, fake: FakeProvider) -> None:
    """An unknown name is wrong usage, and the known ones are listed."""
    keys.write(openai=upstream(fake), groq=upstream(fake, "groq", "/openai/v1"))
    environ = {"OPENAI": new_key(), "GROQ": new_key()}
    assert [name for name, *_ in results(keys.run("test", "groq", env=environ))] == ["groq"]
    assert [request.key for request in fake.requests] == [environ["GROQ"]]
    failed(keys.run("test", "grok", env=environ), "grok is no upstream; known are openai, groq", 2)


def test_a_key_that_is_not_to_be_had_is_missing(keys: Keys, fake: FakeProvider) -> None:
    """The end is 1; variables that need not be set, and a key that stands there twice, count for nothing."""
    keys.write(openai=upstream(fake, keys=[{"env": "K"}, {"env": "K*"}, {"env": "NONE*"}]))
    done = keys.run("test", env={"K": new_key()})
    assert [state for *_, state in results(done)] == ["alive"] and done.exit_code == 0
    assert len(fake.requests) == 1
    done = keys.run("test", env={"K_1": new_key()})
    assert [state for *_, state in results(done)] == ["missing", "alive"] and done.exit_code == 1


def test_what_can_not_be_asked_is_unknown(keys: Keys) -> None:
    """No call that costs nothing, no single host: said, and no failure."""
    keys.write(
        voyage={"base_url": "http://127.0.0.1:1/v1", "keys": [{"env": "K"}]},
        azure={"hosts": ["*.openai.azure.com"], "keys": [{"env": "K"}]},
    )
    done = keys.run("test", env={"K": new_key()})
    assert [state for *_, state in results(done)] == ["unknown", "unknown"] and done.exit_code == 0
    assert "voyage has no call that costs nothing" in done.stdout and "no base_url" in done.stdout


def test_keys_are_tested_at_the_same_time(keys: Keys, fake: FakeProvider) -> None:
    """Eight are asked before the first is answered."""
    wait_s = 0.5
    fake.knobs.set("*", {"first_byte": wait_s})
    keys.write(openai=upstream(fake))
    done = keys.run("test", env={f"OPENAI_{n}": new_key() for n in range(8)})
    assert [state for *_, state in results(done)] == ["alive"] * 8
    times_s = [request.started_s for request in fake.requests]
    assert max(times_s) - min(times_s) < wait_s


def test_a_redirect_is_not_followed(keys: Keys, fake: FakeProvider) -> None:
    """The key stays at its upstream."""
    fake.knobs.set("*", {"status": 302, "headers": {"Location": f"{fake.url}/v1/elsewhere"}})
    keys.write(openai=upstream(fake))
    done = keys.run("test", env={"OPENAI": new_key()})
    assert [state for *_, state in results(done)] == ["unknown"]
    assert [request.path for request in fake.requests] == ["/v1/models"]


# all


@pytest.mark.parametrize("subcommand", [[], ["add"], ["remove"], ["list"], ["test"]])
def test_each_has_its_help_with_an_example(subcommand: list[str]) -> None:
    """And the option that says which configuration."""
    done = CliRunner().invoke(command, [*subcommand, "--help"])
    assert done.exit_code == 0 and "Example" in done.output
    assert not subcommand or "--config" in done.output


def test_a_broken_configuration_is_one_line(keys: Keys) -> None:
    """For each of them."""
    keys.config.write_text("upstreams: 5")
    for arguments in (["add", "x"], ["remove", "x"], ["list"], ["test"]):
        failed(keys.run(*arguments), "upstreams (line 1)")


def test_an_interrupted_prompt_changes_nothing(keys: Keys) -> None:
    """Ctrl-C on the terminal."""
    terminal = Terminal("add", "--config", str(keys.config), "main")
    terminal.type("New passphrase:", PASSPHRASE + secrets.token_hex(2))
    terminal.type("Repeat for confirmation:", "\x03")
    assert terminal.finish() != 0
    assert not keys.vault.exists() and b"Traceback" not in terminal.screen
