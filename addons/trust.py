"""Notes clients that do not trust the proxy's certificate, with the remedy: their calls never become any, so nothing else tells."""

from __future__ import annotations

from mitmproxy.proxy.layers.http import HttpStream
from mitmproxy.tls import TlsData

from addons.core.addressing import product_of
from addons.state import State

FIX = (
    "start it by `turnpike exec -- CMD`, or name the CA file to it (NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE)"
)


class Trust:
    """Counts per host and client; only hosts of ours are ever opened, so no other host is named."""

    def __init__(self, state: State) -> None:
        self.state = state

    def tls_failed_client(self, data: TlsData) -> None:
        """The handshake with the client failed, which nearly always means an unknown CA."""
        host = data.conn.sni or (data.context.server.address or ("unknown",))[0]
        reason = str(data.conn.error or "the handshake broke off")
        client = product_of(_user_agent(data)) or "unknown"
        self.state.counts["tls_failures"] += 1
        self.state.writer.do(lambda store: store.record_tls_failure(client=client, host=host, reason=reason, fix=FIX))


def _user_agent(data: TlsData) -> str | None:
    """Of the CONNECT request, where it has one."""
    stream = next((above for above in data.context.layers if isinstance(above, HttpStream)), None)
    return stream.flow.request.headers.get("user-agent") if stream else None
