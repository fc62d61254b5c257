"""The variables that lead every common runtime through the proxy, and make it trust the proxy's CA (DESIGN §2b).

Some variables add a CA to the ones that a runtime knows, others replace its whole store: these get a bundle of the
system's roots and ours.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import certifi

PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
DIRECT = "localhost,127.0.0.1,::1"
ADDING_CA = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
REPLACING_STORE = (
    "SSL_CERT_FILE",  # OpenSSL, Go, Rust's native roots, httpx
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CODEX_CA_CERTIFICATE",
    "AWS_CA_BUNDLE",
)
SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Debian and Alpine, Fedora, macOS and BSD: for a Python whose OpenSSL was built to look elsewhere."""


def variables(proxy_url: str, ca: Path, bundle: Path) -> dict[str, str]:
    """Name → value. `ca` is our certificate alone, `bundle` holds the system's roots too."""
    return {
        **dict.fromkeys(PROXY_VARIABLES, proxy_url),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), DIRECT),
        **dict.fromkeys(ADDING_CA, str(ca)),
        "NODE_USE_ENV_PROXY": "1",  # Node 24 and later
        **dict.fromkeys(REPLACING_STORE, str(bundle)),
    }


def export_lines(values: Mapping[str, str]) -> str:
    """What a POSIX shell reads with `eval`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def system_roots() -> Path:
    """The bundle that this machine's programs trust: OpenSSL's own (SSL_CERT_FILE included), a usual place, else certifi's."""
    candidates: Iterable[str | None] = (ssl.get_default_verify_paths().cafile, *SYSTEM_BUNDLES)
    return next((path for name in candidates if name and (path := Path(name)).is_file() and path.stat().st_size), Path(certifi.where()))


def write_bundle(ca: Path, folder: Path) -> Path:
    """The file of the system's roots and `ca` in `folder`, for its owner only; one per CA, renewed in one step.

    Raises OSError.
    """
    own, roots = ca.read_bytes().strip(), system_roots().read_bytes().strip()
    content = (roots if own in roots else roots + b"\n" + own) + b"\n"  # inside another `turnpike exec` it is there already
    bundle = folder / f"ca-bundle-{hashlib.sha256(own).hexdigest()[:8]}.pem"
    if bundle.is_file() and bundle.read_bytes() == content:
        return bundle
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=f"{bundle.name}.")  # mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(name, bundle)
    return bundle
