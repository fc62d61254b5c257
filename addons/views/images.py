"""The images in a stored body: found by what they are, whatever the dialect, and only of kinds that a browser cannot run.

An image stands in JSON as base64 or as a data URL. Its type is read from its own first bytes, never from what the body says of it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from addons.core.call import Part
from addons.core.dialects.parts import base64_size
from addons.core.jsonvalues import parse
from addons.views.rawbody import event_payloads

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"RIFF", "image/webp"),
)
MEDIA_TYPES = frozenset(kind for _, kind in SIGNATURES)
STARTS = ("iVBORw0KGg", "/9j/", "R0lGOD", "UklGR")  # the signatures in base64
MIN_CHARACTERS = 24  # of base64; less holds no image
HEAD_CHARACTERS = 64
MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Image:
    """An image still in base64; `size` is its length in bytes, as `parts` has it."""

    encoded: str
    size: int

    def decoded(self) -> tuple[bytes, str] | None:
        """(bytes, media type); None for what is no image of an allowed type."""
        return decode_image(self.encoded)


def is_shown(part: Part) -> bool:
    """Is there an image of a kind that is shown, as far as its part tells?"""
    data = part.data or {}
    declared = data.get("media_type")
    return part.kind == "image" and bool(data.get("bytes")) and (declared is None or str(declared).lower() in {*MEDIA_TYPES, "image/jpg"})


def find_images(content: bytes, content_type: str | None, parts: Sequence[Part]) -> list[Image | None]:
    """The images that are `parts`, all of them the image parts of this body in order; None for one that is not there. Reads the body once.

    The order of a body is mostly that of its messages, but a dialect may have its own: images are told apart by their length too.
    """
    if not parts:
        return []
    by_size: dict[object, list[Image]] = {}
    for image in _all(content, content_type):
        by_size.setdefault(image.size, []).append(image)
    taken: Counter[object] = Counter()
    found = []
    for part in parts:
        same, number = by_size.get(_bytes_of(part), []), taken[_bytes_of(part)]
        taken[_bytes_of(part)] += 1
        found.append(same[min(number, len(same) - 1)] if same else None)
    return found


def find_image(content: bytes, content_type: str | None, parts: Sequence[Part], number: int) -> tuple[bytes, str] | None:
    """(bytes, media type) of the image that is `parts[number]`; None: it is not there, or of a kind that is not shown."""
    image = find_images(content, content_type, parts)[number] if 0 <= number < len(parts) else None
    return image.decoded() if image else None


def decode_image(encoded: str) -> tuple[bytes, str] | None:
    """The image and its type by its first bytes; None for what is no image of an allowed type."""
    try:
        content = b64decode(encoded)
    except (binascii.Error, ValueError):
        return None
    kind = next((kind for signature, kind in SIGNATURES if content.startswith(signature)), None)
    if kind == "image/webp" and content[8:12] != b"WEBP":
        return None
    return (content, kind) if kind else None


def pixels(content: bytes) -> tuple[int, int] | None:
    """(width, height) by the image's own header; None where it says none.

    PNG: https://www.w3.org/TR/png/#11IHDR; GIF: GIF89a, 18; WebP: RFC 9649, 2.5 to 2.7; JPEG: ITU-T T.81, B.2.2.
    """
    if content.startswith(b"\x89PNG") and content[12:16] == b"IHDR" and len(content) >= 24:
        return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    if content.startswith(b"GIF8") and len(content) >= 10:
        return int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little")
    if content.startswith(b"RIFF") and len(content) >= 30:
        return _webp_pixels(content)
    return _jpeg_pixels(content) if content.startswith(b"\xff\xd8") else None


def _webp_pixels(content: bytes) -> tuple[int, int] | None:
    if content[12:16] == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if content[12:16] == b"VP8L":
        packed = int.from_bytes(content[21:25], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if content[12:16] == b"VP8 ":
        return int.from_bytes(content[26:28], "little") & 0x3FFF, int.from_bytes(content[28:30], "little") & 0x3FFF
    return None


def _jpeg_pixels(content: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame; those three are tables
            return int.from_bytes(content[at + 7 : at + 9]), int.from_bytes(content[at + 5 : at + 7])
        at += 2 + int.from_bytes(content[at + 2 : at + 4])
    return None


def _bytes_of(part: Part) -> object:
    return (part.data or {}).get("bytes")


def _all(content: bytes, content_type: str | None) -> Iterator[Image]:
    """Every base64 text of a body that begins like an image."""
    for payload in event_payloads(content, content_type):
        yield from _within(parse(payload), 0)


def _within(value: Any, depth: int) -> Iterator[Image]:
    if isinstance(value, str):
        encoded = value.partition(",")[2] if value.startswith("data:") else value
        if len(encoded) >= MIN_CHARACTERS and encoded.lstrip()[:HEAD_CHARACTERS].startswith(STARTS):
            yield Image(encoded, base64_size(encoded))
    elif depth < MAX_DEPTH and isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _within(inner, depth + 1)
