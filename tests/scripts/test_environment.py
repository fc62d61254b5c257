"""The variables for clients, and the bundle of CAs that some of them need."""

from __future__ import annotations

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from scripts import environment
from scripts.fake_provider.tls import make_context


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A CA of our own."""
    return make_context(tmp_path)[1]


def test_every_runtime_is_told(tmp_path: Path) -> None:
    """The variables of DESIGN §2b: proxies in both cases, what adds our CA, what replaces the store."""
    values = environment.variables("http://127.0.0.1:8080", tmp_path / "ca.pem", tmp_path / "bundle.pem")
    assert {values[name] for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")} == {"http://127.0.0.1:8080"}
    assert values["NO_PROXY"] == values["no_proxy"] == "localhost,127.0.0.1,::1"
    assert values["NODE_USE_ENV_PROXY"] == "1"
    assert values["NODE_EXTRA_CA_CERTS"] == str(tmp_path / "ca.pem")
    replacing = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "CODEX_CA_CERTIFICATE")
    assert {values[name] for name in replacing} == {str(tmp_path / "bundle.pem")}


def test_the_bundle_holds_the_systems_roots_and_ours(ca: Path, tmp_path: Path) -> None:
    """OpenSSL reads both from it, and only its owner may read the file."""
    bundle = environment.write_bundle(ca, tmp_path / "data")
    roots = ssl.create_default_context(cafile=str(environment.system_roots()))
    both = ssl.create_default_context(cafile=str(bundle))
    assert both.cert_store_stats()["x509_ca"] == roots.cert_store_stats()["x509_ca"] + 1
    assert bundle.stat().st_mode & 0o777 == 0o600


def test_the_bundle_is_written_once(ca: Path, tmp_path: Path) -> None:
    """The same content leaves the file alone, and no temporary file stays."""
    first = environment.write_bundle(ca, tmp_path / "data")
    inode = first.stat().st_ino
    assert environment.write_bundle(ca, tmp_path / "data") == first
    assert first.stat().st_ino == inode and len(os.listdir(tmp_path / "data")) == 1


def test_inside_another_exec_nothing_is_added(ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SSL_CERT_FILE is our bundle already, ours stands in it once."""
    bundle = environment.write_bundle(ca, tmp_path / "data")
    before = bundle.read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert environment.write_bundle(ca, tmp_path / "data").read_bytes() == before


def test_a_machine_without_roots_gets_certifis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slim container has no bundle of its own."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(environment, "SYSTEM_BUNDLES", (str(tmp_path / "neither"),))
    assert environment.system_roots().name == "cacert.pem"


def test_export_lines_survive_a_shell() -> None:
    """Quotes and blanks in a value come out of `eval` as they went in."""
    value = 'it\'s a "path" with $HOME'
    script = environment.export_lines({"ODD": value}) + '\nprintf %s "$ODD"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == value
