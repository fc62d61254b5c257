"""`turnpike exec`: real commands behind a real proxy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.fake_provider.server import running_fake_provider
from scripts.launch import program
from tests.e2e.harness import Turnpike, free_port

CLIENT = "import openai; print(openai.OpenAI(api_key='none').models.list().data[0].id)"
"""An SDK that knows nothing of a proxy; the host resolves to nothing."""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turnpike]:
    with running_fake_provider() as fake:
        folder = tmp_path_factory.mktemp("exec")
        upstreams = {"openai": {"hosts": ["api.openai.com"], "base_url": f"{fake.url}/v1"}}
        with Turnpike(folder, {"upstreams": upstreams, "capture": {"database": str(folder / "turnpike.db")}}) as turnpike:
            yield turnpike


def turnpike_exec(proxy: Turnpike, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`turnpike exec` with the options that lead to this proxy."""
    where = ["--config", str(proxy.config_file), "--proxy", proxy.proxy_url, "--confdir", str(proxy.ca_file.parent)]
    return subprocess.run([program("turnpike"), "exec", *where, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_an_sdk_goes_through_the_proxy(proxy: Turnpike) -> None:
    """An unmodified client reaches the original host by way of the proxy, trusts its CA, and its call is recorded."""
    done = turnpike_exec(proxy, "--", sys.executable, "-c", CLIENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "gpt" in done.stdout
    assert proxy.wait_rows(1)[0]["host"] == "api.openai.com"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_goes_through_the_proxy(proxy: Turnpike) -> None:
    """curl takes the proxy and the bundle from the environment."""
    done = turnpike_exec(proxy, "--", "curl", "--silent", "--show-error", "--fail", "https://api.openai.com/v1/models")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"gpt-' in done.stdout


def test_the_exit_status_is_the_commands(proxy: Turnpike) -> None:
    """And what follows the command's name is the command's own, options too."""
    assert turnpike_exec(proxy, "--", "sh", "-c", "exit 7").returncode == 7
    assert turnpike_exec(proxy, "sh", "-c", "exit 8").returncode == 8


def test_print_is_what_a_shell_reads(proxy: Turnpike) -> None:
    """`eval` of the lines sets the variables; the bundle lies beside the database, for its owner only."""
    lines = turnpike_exec(proxy, "--print").stdout
    script = lines + '\necho "$HTTPS_PROXY $https_proxy"; echo "$SSL_CERT_FILE"'
    proxies, bundle = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert proxies == f"{proxy.proxy_url} {proxy.proxy_url}"
    assert Path(bundle).parent == proxy.folder and Path(bundle).stat().st_mode & 0o777 == 0o600


def test_errors_are_one_line(proxy: Turnpike, tmp_path: Path) -> None:
    """No command, no CA, no proxy: each names what is missing, without a traceback."""
    port = free_port()
    wrong = {
        "no-such-command: command not found": turnpike_exec(proxy, "--", "no-such-command"),
        f"no CA at {tmp_path}": turnpike_exec(proxy, "--confdir", str(tmp_path), "--", "true"),
        f"no Turnpike answers at http://127.0.0.1:{port}": turnpike_exec(proxy, "--proxy", f"http://127.0.0.1:{port}", "--", "true"),
    }
    for message, done in wrong.items():
        assert message in done.stderr and done.stderr.count("\n") == 1
        assert done.returncode == 1


def test_neither_command_nor_print_is_wrong_usage(proxy: Turnpike) -> None:
    """One of them is needed, and only one."""
    assert turnpike_exec(proxy).returncode == 2
    assert turnpike_exec(proxy, "--print", "true").returncode == 2
