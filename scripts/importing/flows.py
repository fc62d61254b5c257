"""mitmproxy's flow files (`-w FILE`), also those whose bodies were streamed past mitmproxy and are not in them.

A file is a row of netstrings (https://cr.yp.to/proto/netstrings.txt, with a type in place of the comma), one per flow. The frames
are cut here and each is given to mitmproxy's own FlowReader, so that a flow that can't be read costs no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO

from mitmproxy import http
from mitmproxy.exceptions import FlowReadException
from mitmproxy.io import FlowReader
from mitmproxy.websocket import WebSocketMessage

from addons.core.call import CallRecord, CapturedBody
from addons.core.jsonvalues import MAX_DIGITS
from addons.recorder import connect_ms
from addons.wireheaders import header_pairs
from scripts.importing.entry import BrokenEntry, Entry, Given, fill_with_messages, note_lost
from scripts.importing.source import Plain

_LENGTH = re.compile(rb"([0-9]{1,12}):")


def cut(content: Plain) -> Iterator[tuple[int, bytes]]:
    """(where it ends, its frame) for each flow. Raises BrokenEntry where no frame follows."""
    at = 0
    while at < len(content):
        length = _LENGTH.match(content, at)
        if length is None:
            raise BrokenEntry(f"no flow begins at byte {at}")
        end = length.end() + int(length[1]) + 1
        if end > len(content):
            raise BrokenEntry("cut off")
        yield end, content[at:end]
        at = end


def read(raw: bytes) -> Entry | None:
    """One flow; None where it is not HTTP. Raises BrokenEntry."""
    try:
        flow = next(iter(FlowReader(BytesIO(raw)).stream()), None)
    except (FlowReadException, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:  # its migrations trust the file
        raise BrokenEntry(f"no flow that this mitmproxy reads ({type(error).__name__})") from error
    if not isinstance(flow, http.HTTPFlow) or flow.request.method == "CONNECT":
        return None
    return _entry(flow)


def _entry(flow: http.HTTPFlow) -> Entry:
    request, response = flow.request, flow.response
    started_ms = int(request.timestamp_start * 1000)
    record = CallRecord("", started_ms, request.method, request.pretty_host, request.path, "other")
    record.connect_ms = connect_ms(flow, started_ms)
    given = Given()
    record.request = _body(request, "request", given)
    if response is not None:
        record.status = response.status_code
        record.response = _body(response, "response", given)
        record.ttfb_ms = (response.timestamp_start - request.timestamp_start) * 1000
    _read_end(record, flow)
    if flow.websocket is not None:
        _read_messages(record, flow.websocket.messages, request.timestamp_start)
        given = Given()
    return Entry(record, given)


def _read_end(record: CallRecord, flow: http.HTTPFlow) -> None:
    response, error = flow.response, flow.error
    ends = [error.timestamp if error else None, response.timestamp_end if response else None]
    ended = next((end for end in ends if end is not None), None)
    if ended is not None:
        record.duration_ms = (ended - flow.request.timestamp_start) * 1000
    record.error = error.msg if error else None
    if response is None:
        record.outcome, record.error_type = "error", "connect"
    elif response.status_code >= 400:
        record.outcome = "error"
    elif error is not None or (response.timestamp_end is None and flow.websocket is None):
        record.outcome, record.error_type = "partial", "stream"


def _body(message: http.Message, kind: str, given: Given) -> CapturedBody:
    """Still content-encoded. What was streamed is not in the file: its size is what its header says."""
    headers, content = header_pairs(message.headers), message.raw_content
    if content is not None:
        return CapturedBody(headers, content, len(content))
    length = message.headers.get("content-length", "")
    body = CapturedBody(headers)
    note_lost(given, kind, body, int(length) if length.isascii() and length.isdigit() and len(length) < MAX_DIGITS else None)
    return body


def _read_messages(record: CallRecord, messages: list[WebSocketMessage], started: float) -> None:
    pieces = [(message.from_client, ((message.timestamp - started) * 1000, message.content)) for message in messages]
    fill_with_messages(record.request, [piece for from_client, piece in pieces if from_client])
    fill_with_messages(record.response, [piece for from_client, piece in pieces if not from_client])
