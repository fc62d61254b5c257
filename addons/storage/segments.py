"""Cutting bodies into segments, so that a history which is sent again is stored once. Pure: bytes in, bytes out.

`cut` finds where messages, content blocks and top-level keys begin, by byte pattern and without parsing, so that
anything that is sent (also broken JSON) joins back to the very bytes. Closing brackets and commas before a beginning go with
it: `…"text": "long"` is then the same segment whether `}]}, {"role": …` follows, `}]}], "tools": …`, or a `"cache_control"`.
What is longer than SEGMENT_MAX is cut again where the content itself says so, so that an edit moves only the cuts near it.
"""

from __future__ import annotations

import re

import zstandard

SEGMENT_MIN = 1024
"""Smaller ones cost more in rows, hashes and lost compression than storing them again costs."""

SEGMENT_MAX = 32 * 1024
CHUNK_MIN = 4 * 1024

RAW_MAX = 96
"""Below this zstd's own header and the missing context eat what it saves."""

ZSTD_LEVEL = 3

_OBJECT_KEYS = b"role|parts|content|type|name|functionDeclarations|function_declarations"
_TOP_KEYS = (
    b"messages|input|contents|system|systemInstruction|system_instruction|instructions|tools|functions|model|stream|stream_options"
    b"|max_tokens|temperature|metadata|tool_choice|generationConfig|options|prompt_cache_key|cache_control|thinking|reasoning"
)
_KEYS = re.compile(rb'"(?:(' + _OBJECT_KEYS + rb")|" + _TOP_KEYS + rb')"\s{0,8}:')
"""It begins with a literal, which the regex engine looks for several times faster than for one of two (a quote, or a bracket before it)."""

_BLANKS = b" \t\n\r\f\v"
_BLANKS_MAX = 32  # between a bracket and its first key
_CLOSERS = b" \t\r\n,]}"
_CLOSERS_MAX = 128  # bounds the step back over indentation; further back would be quadratic on a body of blanks


def _byte_class(bit: int) -> bytes:
    """A quarter of all byte values, a different and arbitrary one for each `bit`, as a character class."""
    members = bytes(value for value in range(256) if (value * 0x9E3779B1 >> (8 + 2 * bit)) & 3 == 0)
    return b"[" + re.escape(members) + b"]"


_CONTENT_CUT = re.compile(b"".join(_byte_class(bit) for bit in range(6)), re.DOTALL)
"""Six bytes, each of a quarter of all values: matches once in 4096 positions of mixed content, at the speed of the
regex engine (a rolling hash in Python would take a hundred times as long)."""


def cut(body: bytes) -> list[bytes]:
    """The segments of a request body. `b"".join(cut(body)) == body`; none is empty or longer than SEGMENT_MAX."""
    segments: list[bytes] = []
    start = 0
    while end := _boundary(body, start):
        segments.extend(cut_long(body[start:end]))
        start = end
    segments.extend(cut_long(body[start:]))
    return segments


def cut_long(content: bytes) -> list[bytes]:
    """Pieces of at most SEGMENT_MAX, cut where the content says so; content that fits stays whole. For answers, too."""
    pieces: list[bytes] = []
    start = 0
    while len(content) - start > SEGMENT_MAX:
        found = _CONTENT_CUT.search(content, start + CHUNK_MIN, start + SEGMENT_MAX)
        end = found.end() if found else start + SEGMENT_MAX
        pieces.append(content[start:end])
        start = end
    if start < len(content):
        pieces.append(content[start:])
    return pieces


def pack(segment: bytes, compressor: zstandard.ZstdCompressor) -> tuple[str, bytes]:
    """(codec, data) as they are stored: `zstd`, or `raw` where that is no longer."""
    if len(segment) <= RAW_MAX:
        return "raw", segment
    packed = compressor.compress(segment)
    return ("zstd", packed) if len(packed) < len(segment) else ("raw", segment)


def unpack(codec: str, data: bytes, size: int) -> bytes:
    """The segment. Raises ValueError for an unknown codec, zstandard.ZstdError for damaged data."""
    if codec == "raw":
        return data
    if codec == "zstd":
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    raise ValueError(f"unknown segment codec {codec!r}")


def _boundary(body: bytes, start: int) -> int | None:
    """The first boundary that leaves SEGMENT_MIN behind `start`; None without one."""
    position = start + SEGMENT_MIN
    while position <= len(body):
        found = _beginning(body, position)
        end = _before_closers(body, found)
        if end - start >= SEGMENT_MIN:
            return end
        position = found + 1
    return None


def _beginning(body: bytes, position: int) -> int:
    """Where the next message, block or top-level key begins; the body's end without one. An object's first key begins at its bracket."""
    for found in _KEYS.finditer(body, position):
        begins = found.start()
        if found[1] is None:
            return begins
        before = body[max(position, begins - _BLANKS_MAX - 1) : begins]
        bare = before.rstrip(_BLANKS)
        if bare.endswith(b"{"):
            return begins - len(before) + len(bare) - 1
    return len(body)


def _before_closers(body: bytes, position: int) -> int:
    window = body[max(0, position - _CLOSERS_MAX) : position]
    return position - len(window) + len(window.rstrip(_CLOSERS))
