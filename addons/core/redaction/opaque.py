"""What is left alone in bodies: media in base64, and the protocol's own values, which mean nothing to anybody else.

An id or a signature that is masked in a stored body can't be sent again; a megabyte of base64 holds by chance whatever is looked
for. Only exact strings are looked for in them too. The tables go by the field's name *and* by the shape of its value, never by
the place in a dialect: tool arguments are objects of anybody's making, which use the same names for text.
"""

from __future__ import annotations

import re
from bisect import bisect_right

MIN_BLOB_BYTES = 256
"""Shorter base64 is read as any text: the scan costs nothing, and a token may be all of it."""

_BLOB = re.compile(rb"(?:data:[\w./+-]{0,100}(?:;[\w=.+-]{1,100})*;base64,)?[A-Za-z0-9+/_\\-]+={0,2}")
"""Base64, base64url, with `\\/` for `/` and `\\n` between lines as JSON may write them."""

_MEDIA_NAMES = frozenset(
    (
        # OpenAI: image_url.url and input_image.image_url (data: URLs), input_audio.data, file.file_data, images' b64_json, partial images,
        # the image generation tool's result, deltas of audio, embeddings in base64
        *(b"url", b"image_url", b"data", b"file_data", b"b64_json", b"partial_image_b64", b"result", b"delta", b"audio", b"embedding"),
        # Anthropic: source.data, redacted_thinking.data, signatures · Gemini: inlineData.data, bytesBase64Encoded, imageBytes, videoBytes
        *(b"bytesBase64Encoded", b"imageBytes", b"videoBytes", b"encodedImage"),
        # Bedrock: source.bytes · Ollama: images[] · Mistral: document_url, input_audio · others
        *(b"bytes", b"image", b"images", b"video", b"document_url", b"base64", b"blob", b"body"),
    )
)

_SEALED = re.compile(
    # encrypted or signed by the provider, sent back as it came: reasoning, compaction, thoughts
    rb"(?:\w*_)?signature|thoughtSignature|thought_signatures?|encrypted_\w+|reasoning_opaque|"
    # where a list goes on
    rb"(?:\w+[_-])?cursor|(?:next|prev|previous)?_?[pP]age_?[tT]oken|(?:continuation|pagination|resume|sync|next)_?[tT]oken|"
    # names of caches, states of the server, padding
    rb"(?:\w+_)?cache_key|cachedContent|system_fingerprint|obfuscation|etag|safety_identifier|idempotency[_-]key"
)

_IDS = re.compile(rb"(?:[\w.-]*[_-])?[iI][dD]s?|[a-z]\w*I[dD]s?|responseId|tags?")
"""Ids of calls, responses, items, files, requests, tools."""

_ONE_TOKEN = re.compile(rb"[A-Za-z0-9+/=_.:~|@\\-]+")

_DATA_URL = re.compile(rb";base64,[A-Za-z0-9+/_-]*+")
_DATA_URL_HEAD = 160


def is_media(key: bytes | None, raw: bytes) -> bool:
    """Is this string (as written, at least `MIN_BLOB_BYTES`) base64 in a field that is made for it? `key` None: an element of an array."""
    return (key is None or key in _MEDIA_NAMES or _SEALED.fullmatch(key) is not None) and _BLOB.fullmatch(raw) is not None


def is_sealed(key: bytes, value: bytes) -> bool:
    """Is the value one that only the provider can read? (a credential's shape in all of its length is none: a tool's arguments may be
    called anything)"""
    return _SEALED.fullmatch(key) is not None and _ONE_TOKEN.fullmatch(value) is not None


def is_id(key: bytes, value: bytes) -> bool:
    """Is the value a name that the protocol gives? (a credential's shape in all of its length is none)"""
    return _IDS.fullmatch(key) is not None and _ONE_TOKEN.fullmatch(value) is not None


def data_urls(text: bytes) -> DataUrls:
    """Those of this text; hardly any text has some."""
    return DataUrls(text) if b";base64," in text else _NO_URLS


class DataUrls:
    """The base64 of the data: URLs within a text (images in Markdown or HTML). Found once, however often they are asked for."""

    def __init__(self, text: bytes) -> None:
        urls = [url for url in _DATA_URL.finditer(text) if text.find(b"data:", max(0, url.start() - _DATA_URL_HEAD), url.start()) >= 0]
        self._begins = [url.start() + len(b";base64,") for url in urls]
        self._ends = [url.end() for url in urls]

    def hold(self, start: int) -> bool:
        """Does what begins at `start` stand in one of them?"""
        at = bisect_right(self._begins, start) - 1
        return at >= 0 and start <= self._ends[at]


_NO_URLS = DataUrls(b"")
