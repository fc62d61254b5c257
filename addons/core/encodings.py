"""Content-Encoding taken off, whole or chunk by chunk (RFC 9110 §8.4: gzip RFC 1952, deflate RFC 1950, br RFC 7932, zstd RFC 8878).

A decoder has feed(bytes) -> bytes and flush() -> bytes and gives out at once whatever the bytes so far decode to, so that a sync-flushed
stream comes out chunk by chunk. A body that is cut, or damaged further on, gives what it decodes to until there.

    UndecodableBody(ValueError)   an encoding that is not known, or bytes that are not in it from the first on
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard

MAX_DECODED_BYTES = 32 * 1024 * 1024  # twice capture.max_body; what a kilobyte of zeros turns into has no end
MAX_STACKED = 4  # nobody compresses more often; each layer multiplies the work
ZSTD_MAX_WINDOW_BYTES = 8 * 1024 * 1024  # RFC 8878 §3.1.1.1.2 (RFC 9659): what content-coded zstd may ask a decoder to hold
SLICE_BYTES = 4096  # how much is lost of a body that is damaged further on
ZSTD_SLICE_BYTES = 512  # zstandard has no output limit: 4 bytes may become 128 KiB, so a slice becomes 16 MiB at worst


class UndecodableBody(ValueError):
    """The body is not in the encoding that its header names."""


class Decoder(Protocol):
    """Takes one encoding (or a stack of them) off."""

    def feed(self, data: bytes) -> bytes: ...

    def flush(self) -> bytes: ...


class _Codec(Protocol):
    """One compression's own object. `limit` is the most bytes to give; what is left comes with the next call."""

    def decode(self, data: bytes, limit: int) -> bytes: ...


class _Zlib:
    """gzip with any number of members, or zlib, or raw deflate; `wbits` as in zlib."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._object = zlib.decompressobj(wbits)

    def decode(self, data: bytes, limit: int) -> bytes:
        out: list[bytes] = []
        while data and limit > 0:
            if self._object.eof:
                if not data.strip(b"\0"):  # padding after the last member
                    break
                self._object = zlib.decompressobj(self._wbits)
            out.append(self._object.decompress(data, limit))
            limit -= len(out[-1])
            data = self._object.unconsumed_tail or self._object.unused_data
        return b"".join(out)


class _Deflate:
    """`deflate` is zlib's format; some servers send raw deflate instead. The first two bytes tell."""

    def __init__(self) -> None:
        self._start = b""
        self._codec: _Zlib | None = None

    def decode(self, data: bytes, limit: int) -> bytes:
        if self._codec is None:
            self._start += data
            if len(self._start) < 2:
                return b""
            data = self._start
            self._codec = _Zlib(zlib.MAX_WBITS if self._has_zlib_header() else -zlib.MAX_WBITS)
        return self._codec.decode(data, limit)

    def _has_zlib_header(self) -> bool:
        """RFC 1950 §2.2: method 8, and the header is a multiple of 31."""
        return self._start[0] & 0x0F == 8 and int.from_bytes(self._start[:2]) % 31 == 0


class _Brotli:
    def __init__(self) -> None:
        self._object = brotli.Decompressor()

    def decode(self, data: bytes, limit: int) -> bytes:
        out: bytes = self._object.process(data, output_buffer_limit=limit)
        return out


class _Zstd:
    def __init__(self) -> None:
        context = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW_BYTES)
        self._object = context.decompressobj(read_across_frames=True)

    def decode(self, data: bytes, limit: int) -> bytes:
        out: list[bytes] = []
        for start in range(0, len(data), ZSTD_SLICE_BYTES):
            out.append(self._object.decompress(data[start : start + ZSTD_SLICE_BYTES]))
            limit -= len(out[-1])
            if limit <= 0:
                break
        return b"".join(out)


_FAULTS = (zlib.error, brotli.error, zstandard.ZstdError)
_CODECS: dict[str, Callable[[], _Codec]] = {
    "gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: _Zlib(16 + zlib.MAX_WBITS),
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}


class _Layer:
    """One encoding: stops at the first damage and at `max_bytes`, and raises only when nothing could be decoded at all."""

    def __init__(self, name: str, max_bytes: int) -> None:
        self._name = name
        self._codec = _CODECS[name]()
        self._left = max_bytes
        self._silent: bytes | None = b""  # the input that has given nothing yet, None as soon as something came
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        out = [self._slice(data[start : start + SLICE_BYTES]) for start in range(0, len(data), SLICE_BYTES)]
        return out[0] if len(out) == 1 else b"".join(out)

    def _slice(self, data: bytes) -> bytes:
        if self._ended:
            return b""
        begun = self._silent is None
        try:
            out = self._codec.decode(data, self._left)[: self._left]
        except _FAULTS as fault:
            self._ended = True
            return b"" if begun else self._salvage(data, fault)
        if not begun:
            self._silent = None if out else (self._silent or b"") + data
        self._left -= len(out)
        self._ended = self._left <= 0
        return out

    def _salvage(self, data: bytes, fault: Exception) -> bytes:
        """What the first bytes decode to, byte by byte: the libraries throw away what they had when they find the damage."""
        codec, out = _CODECS[self._name](), b""
        for byte in (self._silent or b"") + data:
            try:
                out += codec.decode(bytes((byte,)), self._left)
            except _FAULTS:  # the damage itself; `fault` tells of it when nothing came before
                break
        if not out:
            raise UndecodableBody(f"not {self._name}: {fault}") from fault
        return out[: self._left]


class _Identity:
    def feed(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Stack:
    def __init__(self, layers: list[_Layer]) -> None:
        self._layers = layers

    def feed(self, data: bytes) -> bytes:
        for layer in self._layers:
            data = layer.feed(data)
        return data

    def flush(self) -> bytes:
        return b""


def names(encoding: str | None) -> list[str]:
    """The encodings of a Content-Encoding value in the order they were applied, without `identity`.

    >>> names("GZip, br")
    ['gzip', 'br']
    """
    found = [name.strip().lower() for name in (encoding or "").split(",")]
    return [name for name in found if name and name != "identity"]


def decoder(encoding: str | None, max_bytes: int = MAX_DECODED_BYTES) -> Decoder:
    """A decoder for a Content-Encoding value, the last applied taken off first; gives at most `max_bytes`.

    Raises UndecodableBody for an unknown encoding or too many of them, and from `feed` for bytes that are not in it.
    """
    stacked = names(encoding)
    unknown = [name for name in stacked if name not in _CODECS]
    if unknown:
        raise UndecodableBody(f"unknown content encoding {unknown[0]!r}")
    if len(stacked) > MAX_STACKED:
        raise UndecodableBody(f"{len(stacked)} content encodings")
    if not stacked:
        return _Identity()
    return _Stack([_Layer(name, max_bytes) for name in reversed(stacked)])


def decode(content: bytes, encoding: str | None, max_bytes: int = MAX_DECODED_BYTES) -> bytes:
    """The body without its Content-Encoding, as far as it decodes. Raises UndecodableBody (see there), never for a body that was cut."""
    if not names(encoding):
        return content
    opened = decoder(encoding, max_bytes)
    return opened.feed(content) + opened.flush()


def decode_whole(content: bytes, encoding: str | None, max_bytes: int = MAX_DECODED_BYTES) -> bytes:
    """The body without its Content-Encoding, where nothing of it is left unread: for whoever must know all that is in it.

    Raises UndecodableBody for an unknown encoding, damage, an end that is missing, bytes behind the end, and more than `max_bytes`.
    """
    for name in reversed(names(encoding)):
        if name not in _WHOLE:
            raise UndecodableBody(f"unknown Content-Encoding {name!r}")
        try:
            content = _WHOLE[name](content, max_bytes)
        except _FAULTS as error:
            raise UndecodableBody(f"not {name}: {error}") from None
    return content


def _whole_zlib(content: bytes, wbits: int, max_bytes: int) -> bytes:
    out, left = [], max_bytes
    while content:  # gzip may have several members (RFC 1952 §2.2)
        unpacking = zlib.decompressobj(wbits)
        out.append(unpacking.decompress(content, left + 1))
        left -= len(out[-1])
        if left < 0 or not unpacking.eof:
            raise UndecodableBody("it is longer than can be looked at" if left < 0 else "its end is missing")
        content = unpacking.unused_data
    return b"".join(out)


def _whole_deflate(content: bytes, max_bytes: int) -> bytes:
    wrapped = len(content) > 1 and content[0] & 0x0F == 8 and int.from_bytes(content[:2]) % 31 == 0
    return _whole_zlib(content, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS, max_bytes)


def _whole_brotli(content: bytes, max_bytes: int) -> bytes:
    unpacking = brotli.Decompressor()
    out: bytes = unpacking.process(content, output_buffer_limit=max_bytes + 1)
    if len(out) > max_bytes or not unpacking.is_finished():
        raise UndecodableBody("it is longer than can be looked at, or its end is missing")
    whole: bytes = brotli.decompress(content)  # also says when bytes stand behind the end
    return whole


def _whole_zstd(content: bytes, max_bytes: int) -> bytes:
    out, left = [], max_bytes
    while content:
        unpacking = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW_BYTES).decompressobj()
        rest = b""
        for start in range(0, len(content), ZSTD_SLICE_BYTES):
            out.append(unpacking.decompress(content[start : start + ZSTD_SLICE_BYTES]))
            left -= len(out[-1])
            if left < 0:
                raise UndecodableBody("it is longer than can be looked at")
            if unpacking.eof:
                rest = unpacking.unused_data + content[start + ZSTD_SLICE_BYTES :]
                break
        if not unpacking.eof:
            raise UndecodableBody("its end is missing")
        content = rest
    return b"".join(out)


_WHOLE: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": lambda content, max_bytes: _whole_zlib(content, 16 + zlib.MAX_WBITS, max_bytes),
    "x-gzip": lambda content, max_bytes: _whole_zlib(content, 16 + zlib.MAX_WBITS, max_bytes),
    "deflate": _whole_deflate,
    "br": _whole_brotli,
    "zstd": _whole_zstd,
}
