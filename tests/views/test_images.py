"""addons/views/images.py: an image is what its bytes are."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from addons.core.call import Part
from addons.views import images
from addons.views.images import decode_image, find_image, find_images, is_shown, pixels

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
JPEG = b"\xff\xd8\xff\xe0" + bytes(40)
WEBP = b"RIFF\x10\0\0\0WEBPVP8 " + bytes(40)


def image(size: int, media_type: str | None = "image/png") -> Part:
    return Part("image", None, {"media_type": media_type, "bytes": size})


def encoded(content: bytes) -> str:
    return b64encode(content).decode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (b"GIF89a" + bytes(20), "image/gif"),
        (WEBP, "image/webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"<svg onload=alert(1)>", None),
        (b"<html><script>", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_the_type_is_read_from_the_bytes(content: bytes, expected: str | None) -> None:
    """Whatever the body says; only kinds that no browser runs."""
    found = decode_image(encoded(content))
    assert (found and found[1]) == expected


def test_what_is_no_base64_is_no_image() -> None:
    """Nor an error."""
    assert decode_image("iVBORw0KGgoA=b") is None
    assert decode_image("é") is None


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}}]}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded(PNG)}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": encoded(PNG)}}]}]},
        {"messages": [{"role": "user", "images": [encoded(PNG)]}]},
        {"messages": [{"content": [{"image": {"format": "png", "source": {"bytes": encoded(PNG)}}}]}]},
    ],
    ids=["openai", "anthropic", "gemini", "ollama", "bedrock"],
)
def test_images_are_found_in_every_dialect(body: object) -> None:
    """By what they are."""
    assert find_image(json.dumps(body).encode(), "application/json", [image(len(PNG))], 0) == (PNG, "image/png")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x02\0\0\0\x03\x08", (258, 3)),
        (b"GIF89a\x02\x01\x03\x00" + bytes(9), (258, 3)),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x01\x01\x00\x02\x00\x00", (258, 3)),
        (b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + (257 | 2 << 14).to_bytes(4, "little") + bytes(9), (258, 3)),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(7) + b"\x9d\x01\x2a\x02\x01\x03\x00", (258, 3)),
        (b"\xff\xd8\xff\xe0\0\x04ab\xff\xc2\0\x11\x08\0\x03\x01\x02\x03", (258, 3)),
        (b"\xff\xd8\xff\xe0\xff\xff", None),
        (PNG, None),
        (b"RIFF", None),
        (b"", None),
    ],
    ids=["png", "gif", "webp", "webp lossless", "webp lossy", "jpeg", "jpeg cut", "no header", "cut", "nothing"],
)
def test_pixels_are_read_of_the_header(content: bytes, expected: tuple[int, int] | None) -> None:
    """As each format writes them; of what is cut nothing is known."""
    assert pixels(content) == expected


def test_a_body_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many images are in it."""
    read: list[bytes] = []

    def parse(payload: bytes) -> object:
        read.append(payload)
        return json.loads(payload)

    monkeypatch.setattr(images, "parse", parse)
    content = json.dumps([encoded(PNG)] * 40).encode()
    assert [found and found.size for found in find_images(content, None, [image(len(PNG))] * 40)] == [len(PNG)] * 40
    assert len(read) == 1
    assert find_images(content, None, []) == []


def test_several_are_told_apart() -> None:
    """By length, then by order."""
    other = PNG[:-1] + b"x"
    content = json.dumps([encoded(PNG), encoded(JPEG), encoded(other)]).encode()
    parts = [image(len(JPEG)), image(len(PNG)), image(len(other)), image(999)]
    assert [found and found[0] for found in (find_image(content, None, parts, n) for n in range(-1, 5))] == [
        None,
        JPEG,
        PNG,
        other,
        None,
        None,
    ]


def test_images_in_a_stream() -> None:
    """Each event is looked through."""
    content = f"data: {json.dumps({'x': 1})}\n\ndata: {json.dumps({'d': encoded(PNG)})}\n\n".encode()
    assert find_image(content, "text/event-stream; charset=utf-8", [image(len(PNG))], 0) == (PNG, "image/png")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10_000, b'["' + b"iVBORw0KGgo" * 5 + b'"'])
def test_other_bodies_have_none(content: bytes) -> None:
    """Cut, binary or deep."""
    assert find_image(content, None, [image(40)], 0) is None


def test_what_is_tried_to_be_shown() -> None:
    """Images with bytes of their own, of a kind that may be shown or is not told."""
    assert is_shown(image(5))
    assert is_shown(image(5, None))
    assert not is_shown(image(5, "image/svg+xml"))
    assert not is_shown(image(0))
    assert not is_shown(Part("image", None, {"url": "https://example.org/a.png"}))
    assert not is_shown(Part("file", None, {"media_type": "image/png", "bytes": 5}))
