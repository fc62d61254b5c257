"""`turnpike fake-provider` as a process: says where it listens, serves, and stops cleanly."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from scripts.cmd_fake_provider import command

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from scripts.cmd_fake_provider import command; command()"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(stop: signal.Signals, tmp_path: Path) -> None:
    """HTTP and TLS addresses are printed when ready, and HTTP/2 is served; SIGTERM and SIGINT end it with status 0 and no errors."""
    arguments = ["--http2", "--ca-folder", str(tmp_path), "--knobs", '{"*": {"text": "as told"}}']
    process = subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            urls = [process.stdout.readline().removeprefix("listening on ").strip() for _ in range(2)]
            context = ssl.create_default_context(cafile=process.stdout.readline().partition(": ")[2].strip())
            body = {"model": "m", "messages": []}
            with httpx.Client(http2=True, verify=context) as client:
                answers = [client.post(f"{url}/v1/chat/completions", json=body) for url in urls]
        finally:
            process.send_signal(stop)
            _, errors = process.communicate(timeout=10)
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == ["as told", "as told"]
    assert [answer.http_version for answer in answers] == ["HTTP/1.1", "HTTP/2"]
    assert [url.partition(":")[0] for url in urls] == ["http", "https"]
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("table", ["[]", "no-such-file.json", '{"k": 3}', '{"k": {"nonsense": 1}}', '{"k": '])
def test_a_bad_table_is_wrong_usage(table: str) -> None:
    """What is no table of knobs ends the command with status 2 and a message that names --knobs."""
    result = CliRunner().invoke(command, ["--knobs", table])
    assert result.exit_code == 2
    assert "--knobs" in result.output
