"""Content-Encoding taken off: whole, chunk by chunk, cut, damaged, and as a bomb."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from addons.core.encodings import UndecodableBody, decode, decode_whole, decoder

RAW = b"".join(b'data: {"n": %d}\n\n' % number for number in range(5000))


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("X-GZIP", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("zstd", zstandard.compress),
    ("gzip", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]) + b"\0" * 8),
    ("zstd", lambda data: zstandard.compress(data[:100]) + zstandard.compress(data[100:])),
    ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    ("identity", bytes),
    ("", bytes),
]


@pytest.mark.parametrize(("name", "pack"), PACKERS)
def test_whole_and_byte_by_byte(name: str, pack: Callable[[bytes], bytes]) -> None:
    """Every encoding, several members or frames, and stacks of them."""
    packed = pack(RAW)
    opened = decoder(name)
    assert decode(packed, name) == RAW
    assert b"".join(opened.feed(packed[at : at + 1]) for at in range(len(packed))) + opened.flush() == RAW


@pytest.mark.parametrize(("name", "pack"), PACKERS)
def test_a_cut_body_gives_its_beginning(name: str, pack: Callable[[bytes], bytes]) -> None:
    """Cut anywhere, it never raises, and gives nothing that is not in the whole."""
    packed = pack(RAW)
    for end in range(0, len(packed), max(1, len(packed) // 40)):
        assert RAW.startswith(decode(packed[:end], name))
    assert decode(b"", name) == b""


@pytest.mark.parametrize("name", ["gzip", "deflate", "br"])
def test_damage_further_on_keeps_what_came_before(name: str) -> None:
    """What was decoded before the damaged place is given, byte for byte."""
    packed = bytearray(dict(PACKERS)[name](RAW) if name != "deflate" else zlib.compress(RAW))
    packed[len(packed) * 3 // 4 :] = b"\xff" * (len(packed) // 4)
    found = decode(bytes(packed), name)
    assert len(found) > 1000
    assert found[:1000] == RAW[:1000]


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_garbage_is_refused(name: str) -> None:
    """Bytes that are not in the encoding from the first on are an error, not an empty body."""
    with pytest.raises(UndecodableBody, match=name):
        decode(b"hello, this is not compressed", name)


@pytest.mark.parametrize("name", ["lzma", "gzip, compress", ", ".join(["gzip"] * 5)])
def test_unknown_encodings_are_refused(name: str) -> None:
    """An encoding without a decoder, and more layers than anybody stacks."""
    with pytest.raises(UndecodableBody):
        decoder(name)


def test_sync_flushed_chunks_come_out_one_by_one() -> None:
    """Each flushed chunk decodes to its text at once: a stream stays a stream."""
    zlib_packer, br_packer, zstd_packer = zlib.compressobj(wbits=31), brotli.Compressor(), zstandard.ZstdCompressor().compressobj()
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: zlib_packer.compress(data) + zlib_packer.flush(zlib.Z_SYNC_FLUSH),
        "br": lambda data: br_packer.process(data) + br_packer.flush(),
        "zstd": lambda data: zstd_packer.compress(data) + zstd_packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK),
    }
    for name, pack in packers.items():
        opened = decoder(name)
        assert [opened.feed(pack(text)) for text in (b"one", b"two", b"three")] == [b"one", b"two", b"three"], name


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_bombs_are_bounded(name: str) -> None:
    """Of a body that decodes to much more, exactly `max_bytes` are given."""
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}[name]
    assert len(decode(pack(b"\0" * 5_000_000), name, max_bytes=100_000)) == 100_000


PACKED: dict[str, bytes] = {
    "gzip": gzip.compress(b"text " * 100),
    "deflate": zlib.compress(b"text " * 100),
    "br": brotli.compress(b"text " * 100),
    "zstd": zstandard.compress(b"text " * 100),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_is_read_whole_or_not_at_all(encoding: str) -> None:
    """For whoever must know all of it: a missing end, bytes behind the end and too much are errors, not less text."""
    packed = PACKED[encoding]
    assert decode_whole(packed, encoding) == b"text " * 100
    for broken in (packed[:-3], packed + b"more", b"no " + packed):
        with pytest.raises(UndecodableBody):
            decode_whole(broken, encoding)
    with pytest.raises(UndecodableBody):
        decode_whole(packed, encoding, max_bytes=499)
    assert decode_whole(packed, encoding, max_bytes=500) == b"text " * 100


def test_several_encodings_and_members_are_read_whole() -> None:
    """In the order in which they were put on; an unknown one is an error."""
    assert decode_whole(gzip.compress(brotli.compress(b"x")), "br, gzip") == b"x"
    assert decode_whole(gzip.compress(b"a") + gzip.compress(b"b"), "gzip") == b"ab"
    assert decode_whole(b"x", None) == b"x"
    with pytest.raises(UndecodableBody):
        decode_whole(b"x", "rot13")
