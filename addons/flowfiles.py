"""The flows that mitmproxy saves (`-w`) are masked by the stored profile, unfinished ones at shutdown too. The traffic itself stays:
what is written is a copy.

A body that came compressed is written plain, so that nothing is in the file that has not been looked at.
"""

from __future__ import annotations

import re
from typing import cast

from mitmproxy import flow, http, tcp, udp
from mitmproxy.addonmanager import Loader

from addons.core.call import CallRecord
from addons.core.captured import credentials_of
from addons.core.encodings import MAX_DECODED_BYTES, UndecodableBody, decode, names
from addons.core.redaction.redactor import Redactor
from addons.exchange import exchange_of
from addons.proxycore.flowwriting import install
from addons.state import State
from addons.wireheaders import header_pairs

LEFT_OUT = "[left out: in an encoding that cannot be read]"

_LINE_END = re.compile(rb"[\r\n]")


class FlowFiles:
    """Has no hooks of its own: it stands where mitmproxy writes, as long as the process lives."""

    def __init__(self, state: State) -> None:
        self.state = state

    def load(self, loader: Loader) -> None:
        """Before any flow is written."""
        install(self.masked)

    def masked(self, original: flow.Flow) -> flow.Flow:
        """A copy without secrets. Raises AttributeError before there is a configuration: then nothing is written."""
        copy = flow.Flow.from_state(original.get_state())
        copy._backup = None  # what it was before a user edited it
        redactor = self.state.redactor
        if isinstance(copy, http.HTTPFlow):
            record = _record(cast(http.HTTPFlow, original))
            redactor = redactor.knowing([*credentials_of(record), *record.secrets])
            _mask_http(copy, redactor)
        elif isinstance(copy, tcp.TCPFlow | udp.UDPFlow):
            for message in copy.messages:
                message.content = redactor.body(message.content, None, "flow")[0]
        if copy.error:
            copy.error.msg = redactor.text(copy.error.msg, "flow")[0]
        copy.comment = redactor.text(copy.comment, "flow")[0]
        copy.metadata = {name: redactor.text(v, "flow")[0] if isinstance(v, str) else v for name, v in copy.metadata.items()}
        return copy


def _record(original: http.HTTPFlow) -> CallRecord:
    """With the client's own headers, which an attempt may have replaced."""
    if (exchange := exchange_of(original)) and exchange.record.request.headers:
        return exchange.record
    request = original.request
    record = CallRecord(original.id, 0, request.method, request.pretty_host, request.path, "other")
    record.request.headers = header_pairs(request.headers)
    return record


def _mask_http(copy: http.HTTPFlow, redactor: Redactor) -> None:
    request, response = copy.request, copy.response
    request.path = redactor.url(request.path)[0]
    _mask_message(request, redactor, "request", request.timestamp_end is None)
    if response:
        response.reason = redactor.text(response.reason, "response.reason")[0]
        _mask_message(response, redactor, "response", response.timestamp_end is None or copy.error is not None)
    if copy.websocket:
        copy.websocket.close_reason = redactor.text(copy.websocket.close_reason or "", "response.body")[0] or copy.websocket.close_reason
        for from_client in (True, False):
            _mask_websocket(copy, redactor, from_client)


def _mask_message(message: http.Message, redactor: Redactor, kind: str, cut: bool) -> None:
    message.headers = _headers(message.headers, redactor, f"{kind}.header")
    if message.trailers:
        message.trailers = _headers(message.trailers, redactor, f"{kind}.trailer")
    content = message.raw_content
    if not content:
        return
    encoding = message.headers.get("content-encoding")
    clean, cut = _decoded(content, encoding, cut)
    clean = redactor.body(clean, message.headers.get("content-type"), f"{kind}.body", cut)[0]
    if clean is content:
        return
    message.headers.pop("content-encoding", None)
    message.raw_content = clean
    if "content-length" in message.headers:
        message.headers["content-length"] = str(len(clean))


def _decoded(content: bytes, encoding: str | None, cut: bool) -> tuple[bytes, bool]:
    """The plain body, and whether its end is missing."""
    if not names(encoding):
        return content, cut
    try:
        plain = decode(content, encoding)
    except UndecodableBody:
        return LEFT_OUT.encode(), False
    return plain, cut or len(plain) >= MAX_DECODED_BYTES


def _headers(headers: http.Headers, redactor: Redactor, where: str) -> http.Headers:
    pairs, notes = redactor.headers(header_pairs(headers), where)
    if not notes:
        return headers
    return http.Headers((name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")) for name, value in pairs)


def _mask_websocket(copy: http.HTTPFlow, redactor: Redactor, from_client: bool) -> None:
    """The messages of one side, a line each as in a stream, since a secret may be cut over them."""
    messages = [message for message in copy.websocket.messages if message.from_client is from_client] if copy.websocket else []
    lines = [_LINE_END.sub(b" ", message.content) for message in messages]
    clean = redactor.body(b"\n".join(lines), "application/x-ndjson", "flow")[0].split(b"\n")
    if len(clean) == len(lines):  # else one reached over a line end, and stands whole in neither
        for message, line, masked in zip(messages, lines, clean, strict=True):
            message.content = message.content if masked == line else masked
    for message in messages:
        message.content = redactor.body(message.content, None, "flow")[0]
