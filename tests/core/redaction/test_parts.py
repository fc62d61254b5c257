"""A body's parts, by its bytes and by its label."""

from __future__ import annotations

from itertools import pairwise

import pytest

from addons.core.redaction.parts import Part, divide, is_event_stream


def shown(body: bytes, content_type: str | None = None) -> list[tuple[str, bytes]]:
    return [(part.kind, body[part.start : part.end]) for part in divide(body, content_type)]


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "text/event-stream", "application/octet-stream"])
def test_json_is_known_by_its_bytes(content_type: str | None) -> None:
    """Whatever it is said to be, with blanks or a mark before it."""
    for start in (b"", b" \n", b"\xef\xbb\xbf"):
        [(kind, text)] = shown(start + b'{"a": 1}', content_type)
        assert kind == "json" and text.endswith(b'{"a": 1}')


def test_text_and_media() -> None:
    """Anything else is text, but for what is said to be image, sound or video."""
    assert shown(b"hello") == [("text", b"hello")]
    assert shown(b"hello", "image/png") == [("binary", b"hello")]
    assert shown(b"a=b", "application/x-www-form-urlencoded") == [("form", b"a=b")]
    assert shown(b"a=b", None) == [("text", b"a=b")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events(end: bytes) -> None:
    """JSON of data lines; lines of text together; nothing of an end mark."""
    lines = [b"event: a", b'data: {"x": 1}', b"", b": comment", b"data: text", b"", b"data:[1]", b"", b"data: [DONE]", b""]
    body = end.join(lines)
    kinds = [(kind, text.strip()) for kind, text in shown(body, "text/event-stream")]
    assert kinds == [("text", b"event: a"), ("json", b'{"x": 1}'), ("text", b": comment" + end + b"data: text"), ("json", b"[1]")]


MULTIPART = (
    b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\ntext\r\n--B\r\nContent-Type: image/png\r\n\r\nPNG--Bx\r\n'
    b'--B\r\n\r\n{"a":1}\r\n'
    b"--B\r\nX: y\r\n\r\n\xff\xfe\xfd binary\r\n--B--\r\n"
)


@pytest.mark.parametrize("boundary", ["B", '"B"'])
def test_multipart(boundary: str) -> None:
    """Headers as text, contents by what they are; the boundary within a part is none."""
    parts = [part for part in shown(MULTIPART, f"multipart/form-data; boundary={boundary}") if part[1]]
    assert parts == [
        ("text", b'Content-Disposition: form-data; name="a"'),
        ("text", b"text"),
        ("text", b"Content-Type: image/png"),
        ("binary", b"PNG--Bx"),
        ("json", b'\r\n{"a":1}'),
        ("text", b"X: y"),
        ("binary", b"\xff\xfe\xfd binary"),
    ]


def test_multipart_that_is_cut_or_none() -> None:
    """Every byte but boundaries is in a part; without a boundary it is text."""
    for end in range(len(MULTIPART)):
        parts = divide(MULTIPART[:end], "multipart/form-data; boundary=B")
        assert all(one.end <= other.start for one, other in pairwise(parts))
    assert shown(MULTIPART, "multipart/form-data; boundary=C") == [("text", MULTIPART)]
    assert shown(b"x", "multipart/form-data") == [("text", b"x")]
    assert divide(b"", None) == [Part(0, 0, "text")]


def test_what_is_said_to_be_a_form_is_no_event_stream() -> None:
    """Although it begins like one; JSON is none either, whatever it is said to be."""
    fields = b": before\n--b\r\n\r\ndata: x\r\n--b--"
    stream = "text/event-stream"
    assert [is_event_stream(fields, kind) for kind in (None, stream, "multipart/form-data; boundary=b")] == [True, True, False]
    assert [kind for kind, _ in shown(fields, "multipart/form-data; boundary=b")] == ["text", "text", "text"]
    assert not is_event_stream(b"data: x", "application/x-www-form-urlencoded") and not is_event_stream(b' \n"data: x"', stream)
    assert is_event_stream(b"\xef\xbb\xbfdata: x", "text/plain") and is_event_stream(b"x", stream) and not is_event_stream(b"x", None)
