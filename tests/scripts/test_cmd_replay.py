"""`turnpike replay`: stored calls sent again through a real proxy."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scripts.fake_provider.server import FakeProvider, running_fake_provider
from scripts.launch import program
from tests.e2e.harness import Turnpike, free_port, new_key

MESSAGES = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProvider]:
    with running_fake_provider() as provider:
        yield provider


@pytest.fixture
def proxy(fake: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turnpike]:
    """A proxy with a key of its own and short bodies, and nothing recorded yet."""
    fake.clear()
    folder = tmp_path_factory.mktemp("replay")
    config = {
        "upstreams": {
            "openai": {"base_url": f"{fake.url}/v1", "hosts": ["api.openai.com"], "default": True, "keys": [{"env": "REPLAY_KEY"}]},
            "ollama": {"provider": "ollama", "base_url": fake.url},
        },
        "capture": {"database": str(folder / "turnpike.db"), "max_body": "4 kB"},
    }
    with Turnpike(folder, config, env={"REPLAY_KEY": new_key()}) as turnpike:
        yield turnpike


def ask(proxy: Turnpike, path: str = "/v1/chat/completions", headers: dict[str, str] | None = None, **body: Any) -> str:
    """Make a call by base URL; the id of its row, once that is written."""
    count = len(proxy.rows())
    body = {"model": "gpt-4o", "messages": MESSAGES} | body
    httpx.post(proxy.base_url + path, json=body, headers=headers, trust_env=False)
    return str(proxy.wait_rows(count + 1)[-1]["id"])


def replay(proxy: Turnpike, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`turnpike replay` with the options that lead to this proxy (its keys are none of the command's business)."""
    where = ["--config", str(proxy.config_file), "--proxy", proxy.proxy_url]
    env = {"REPLAY_KEY": "unused", "PATH": "/usr/bin:/bin"}
    return subprocess.run([program("turnpike"), "replay", *where, *arguments], capture_output=True, text=True, env=env, check=False)


def test_a_call_is_asked_again_and_stored_as_a_replay(proxy: Turnpike, fake: FakeProvider) -> None:
    """The same bytes go to the same path, on the pool's key; the answer is a row of its own that names the first."""
    first = ask(proxy, headers={"Authorization": "Bearer turnpike", "X-Team": "research"})
    done = replay(proxy, first)
    assert (done.returncode, done.stderr) == (0, "")
    old, new = proxy.wait_rows(2)
    assert new["replay_of"] == first and old["replay_of"] is None
    once, again = fake.requests
    assert (again.path, again.body, again.key) == (once.path, once.body, once.key)
    assert again.header("x-team") == "research" and again.header("x-turnpike-replay") is None
    words = done.stdout.splitlines()[1].split()
    assert words[:5] == [first, str(new["id"]), "200", "→", "200"] and words[-1] == "same"
    assert f"{old['input_tokens']}/{old['output_tokens']} → {new['input_tokens']}/{new['output_tokens']}" in done.stdout


def test_a_stream_is_read_to_its_end(proxy: Turnpike) -> None:
    """The new row is whole, and the texts are compared."""
    first = ask(proxy, "/ollama/api/chat", model="llama3.2", stream=True)
    done = replay(proxy, first)
    assert done.returncode == 0 and done.stdout.rstrip().endswith("same")
    new = proxy.wait_rows(2)[-1]
    assert (new["outcome"], new["stream"], new["upstream"], new["replay_of"]) == ("ok", 1, "ollama", first)


def test_another_answer_is_seen(proxy: Turnpike, fake: FakeProvider) -> None:
    """What the model says now is compared with what it said then."""
    first = ask(proxy)
    fake.knobs.set("*", {"text": "Something else"})
    assert replay(proxy, first).stdout.rstrip().endswith("differs")


def test_what_was_masked_or_cut_is_not_sent(proxy: Turnpike, fake: FakeProvider) -> None:
    """Each is named with the reason, the others are sent, and the end is 1; so is a call that does not exist."""
    good = ask(proxy)
    masked = ask(proxy, messages=[{"role": "user", "content": f"my key is sk-proj-{secrets.token_hex(24)}"}])
    cut = ask(proxy, messages=[{"role": "user", "content": "long " * 2000}])
    seen = len(fake.requests)
    done = replay(proxy, masked, cut, good, "01JD3V8Y6QXKTR0ZB5N4M7WCEF")
    assert done.returncode == 1
    assert f"{masked}  not sent: its request body was masked" in done.stderr
    assert f"{cut}  not sent: its request body was cut" in done.stderr
    assert "there is no such call" in done.stderr
    assert len(fake.requests) == seen + 1 and good in done.stdout


def test_an_answer_that_is_an_error_is_a_failure(proxy: Turnpike, fake: FakeProvider) -> None:
    """Its status and message are told, and the end is 1."""
    first = ask(proxy)
    fake.knobs.set("*", {"status": 400, "message": "no more of this"})
    done = replay(proxy, first)
    assert done.returncode == 1
    assert "200 → 400" in done.stdout and "no more of this" in done.stderr


def test_a_header_is_added(proxy: Turnpike, fake: FakeProvider) -> None:
    """`--header` sends what was not stored, a credential for example; without a colon it is wrong usage."""
    key = new_key()
    first = ask(proxy, "/ollama/api/chat", model="llama3.2", stream=False)
    assert replay(proxy, "--header", f"Authorization: Bearer {key}", first).returncode == 0
    assert fake.requests[-1].key == key
    assert replay(proxy, "--header", "nonsense", first).returncode == 2


def test_calls_are_chosen_by_sql(proxy: Turnpike) -> None:
    """Those for which it is true, in the order of time; wrong SQL is one line, neither ids nor SQL wrong usage."""
    ids = [ask(proxy, headers={"X-Turnpike-Tag": tag}) for tag in ("eval", "other", "eval")]
    done = replay(proxy, "--where", "tag = 'eval' OR 0")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [ids[0], ids[2]]
    wrong = replay(proxy, "--where", "no_such_column = 1")
    assert wrong.returncode == 1 and "no_such_column" in wrong.stderr and wrong.stderr.count("\n") == 1
    assert replay(proxy).returncode == 2


def test_errors_are_one_line(proxy: Turnpike) -> None:
    """No proxy, no database: each is named, without a traceback."""
    port = free_port()
    first = ask(proxy)
    for arguments, message in (
        (("--proxy", f"http://127.0.0.1:{port}"), f"no Turnpike answers at http://127.0.0.1:{port}"),
        (("--database", str(proxy.folder / "none.db")), "there is no database"),
    ):
        done = replay(proxy, *arguments, first)
        assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1
