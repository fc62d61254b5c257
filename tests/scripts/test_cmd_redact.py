"""`turnpike redact`."""

from __future__ import annotations

import io
import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from addons.config_types import ROOT
from addons.core.redaction.ruleset import Rule
from addons.core.redaction.scanner import Scanner
from scripts import cmd_redact
from scripts.cmd_redact import command, redacted_text


def run(text: str | bytes, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], input=text)


def token() -> str:
    return "gh" + "p_" + "a1B2" + secrets.token_hex(16)


def test_text_in_text_out() -> None:
    """With its secrets masked, and everything else as it was."""
    secret = token()
    done = run(f"one\nkey = {secret}\ntwo\xe4".encode("latin-1"))
    assert done.stdout_bytes == f"one\nkey = ***{secret[-4:]}\ntwo\xe4".encode("latin-1")
    assert done.exit_code == 0


def test_lines_of_json() -> None:
    """With the findings' offsets in characters of the input."""
    secret = token()
    text = f"ä🙂 {secret} ü {secret}"
    done = run(json.dumps({"text": text, "other": 1}) + "\n\n" + json.dumps({"text": "nothing \ud800"}), "--jsonl")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["text"] == text.replace(secret, f"***{secret[-4:]}")
    assert [text[found["start"] : found["end"]] for found in first["findings"]] == [secret, secret]
    assert {found["rule"] for found in first["findings"]} == {"github-token"}
    assert second == {"text": "nothing \ud800", "findings": []}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        *((b"{", "no JSON"), (b"[1]", 'no {"text"'), (b'{"text": 1}', 'no {"text"'), (b'"text"', 'no {"text"')),
        *((b'{"text": "\xff"}', "no JSON"), (b"[" * 100_000, "line 2: ")),
    ],
)
def test_a_bad_line_is_named(line: bytes, said: str) -> None:
    """The ones before it are done."""
    done = run(b'{"text": "x"}\n' + line, "--jsonl")
    assert json.loads(done.stdout) == {"text": "x", "findings": []}
    assert done.stderr.startswith("Error: line 2: ") and said in done.stderr
    assert done.exit_code == 1


def test_what_else_a_line_holds_stays() -> None:
    """The name of a text, say."""
    assert json.loads(run('{"id": 7, "text": "x"}', "--jsonl").stdout) == {"id": 7, "text": "x", "findings": []}


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-be", "utf-32"])
def test_other_charsets_are_refused(charset: str) -> None:
    """Nothing would be found in them."""
    done = run("\ufeffsecret".encode(charset) if charset == "utf-16-be" else "secret".encode(charset))
    assert (done.stdout, done.exit_code) == ("", 1)
    assert "iconv" in done.stderr


def test_profiles() -> None:
    """What is not sure enough to change a prompt is masked in what is stored only."""
    text = "the_password: Tr0ub4dor&3\n"
    assert run(text, "--profile", "outgoing").stdout == text
    assert run(text).stdout == "the_password: ***\n"


def test_the_configuration_is_used(tmp_path: Path) -> None:
    """Its files of rules, its strings, its keys."""
    (tmp_path / "rules.toml").write_text("[[rules]]\nid = 'acme'\nregex = 'acme-[0-9]{6}'\nkeywords = ['acme']\n")
    (tmp_path / "key").write_text("a-configured-key")
    config = tmp_path / "t.yml"
    config.write_text(
        f"redaction: {{rules: ['{tmp_path}/rules.toml'], strings: [{{env: OURS}}]}}\n"
        f"upstreams: {{openai: {{hosts: [api.openai.com], keys: [{{file: '{tmp_path}/key'}}]}}}}"
    )
    done = CliRunner(env={"OURS": "our own word"}).invoke(
        command, ["--config", str(config)], input="acme-123456 our own word, a-configured-key\n"
    )
    assert done.stdout == "*** ***word, ***-key\n"


def test_values_that_are_not_to_be_had_must_be_given_up_knowingly(tmp_path: Path) -> None:
    """They may be set in the proxy's shell alone, and then stay in the text; a configuration that is wrong is said."""
    config = tmp_path / "t.yml"
    config.write_text("upstreams: {openai: {hosts: [api.openai.com], keys: [{env: NOT_SET_HERE}]}}")
    done = run("text", "--config", config)
    assert (done.stdout, done.exit_code) == ("", 1)
    assert "NOT_SET_HERE" in done.stderr and "--by-form" in done.stderr
    assert run("text", "--config", config, "--by-form").stdout == "text"
    config.write_text("redaction: {rules: [none.toml]}")
    done = run("text", "--config", config)
    assert done.exit_code == 1 and "none.toml: cannot be read" in done.stderr


@given(st.lists(st.sampled_from([b"x" * 40, b"\n", b"acme-123", b"456", b" "]), max_size=60))
def test_a_long_text_is_cut_where_it_does_not_matter(pieces: list[bytes]) -> None:
    """However the blocks lie, the result is that of the whole."""
    data = b"".join(pieces)
    scanner = Scanner([Rule("acme", "acme-[0-9]{6}", keywords=("acme",), loose=True)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cmd_redact, "BLOCK_BYTES", 64)
        patch.setattr(cmd_redact, "HELD_BYTES", 20)
        assert b"".join(redacted_text(scanner, io.BytesIO(data))) == data.replace(b"acme-123456", b"***")


def test_memory_is_bounded() -> None:
    """Of a long text no more than some blocks are held."""
    line = b"a line of text that holds nothing\n" * 1000
    sizes = [len(piece) for piece in redacted_text(Scanner(()), io.BytesIO(line * 200))]
    assert sum(sizes) == len(line) * 200
    assert max(sizes) <= 2 * cmd_redact.BLOCK_BYTES


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    """As `turnpike redact | head` does."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from scripts.cli import main; main(['redact'])"
    (tmp_path / "long").write_bytes(b"some text\n" * 500_000)
    with (tmp_path / "long").open("rb") as text:
        started = subprocess.Popen([sys.executable, "-c", code], stdin=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert started.stdout and started.stderr
    started.stdout.close()
    assert started.stderr.read() == b""
    started.stderr.close()
    started.wait()
