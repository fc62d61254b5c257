"""The text fields of a form."""

from __future__ import annotations

from addons.core.dialects.forms import MAX_FIELD_BYTES, fields_of


def form(*parts: tuple[str, bytes], end: bytes = b"--edge--\r\n") -> bytes:
    made = [b"--edge\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts]
    return b"".join(made) + end


def test_fields_without_files() -> None:
    """Text as it is, words of JSON as JSON, files left out, other headers of a part passed over."""
    body = form(
        ('name="file"; filename="a.wav"\r\nContent-Type: audio/wav', b"RIFF\r\n\0\0" * 50),
        ('name="model"\r\nContent-Type: text/plain', b"whisper-1"),
        ('name="stream"', b"true"),
        ('name="prompt"', "Grüße\r\nzwei".encode()),
    )
    assert fields_of(body) == {"model": "whisper-1", "stream": True, "prompt": "Grüße\r\nzwei"}


def test_cut_forms_and_others() -> None:
    """What came before the cut counts; what is no form, or too long, is nothing."""
    assert fields_of(form(('name="model"', b"m"), end=b"--edge\r\nContent-Disp")) == {"model": "m"}
    assert fields_of(form(('name="long"', b"x" * (MAX_FIELD_BYTES + 1)))) == {}
    assert [fields_of(body) for body in (b"", b"--", b"--\r\n", b"{}", b"-- comment\nx", b"\xff\xfe")] == [{}] * 6
