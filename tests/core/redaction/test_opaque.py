"""What is left alone goes by a field's name and the shape of its value."""

from __future__ import annotations

import pytest

from addons.core.redaction.opaque import DataUrls, is_id, is_media, is_sealed

BLOB = b"iVBORw0KGgo" * 40


@pytest.mark.parametrize(
    "key", [b"data", b"b64_json", b"url", b"image_url", b"file_data", b"bytes", b"signature", b"encrypted_content", None]
)
def test_media(key: bytes | None) -> None:
    """Base64, with `=`, as a data: URL, with escaped slashes and line ends; in an array there is no name."""
    for value in (BLOB, BLOB + b"==", b"data:image/png;base64," + BLOB, BLOB.replace(b"w0", b"\\/"), BLOB.replace(b"w0", b"\\n")):
        assert is_media(key, value)


def test_no_media() -> None:
    """Text, and base64 in a field of text."""
    assert not is_media(b"data", b"a text " + BLOB)
    assert not is_media(b"data", BLOB + b".x")
    assert not is_media(b"text", BLOB)
    assert not is_media(b"", BLOB)


@pytest.mark.parametrize(
    "key",
    [
        *(b"signature", b"thoughtSignature", b"thought_signature", b"encrypted_content", b"cursor", b"next_cursor", b"next_page_token"),
        *(b"nextPageToken", b"prompt_cache_key", b"cachedContent", b"system_fingerprint", b"etag", b"continuation_token"),
    ],
)
def test_sealed(key: bytes) -> None:
    """What only the provider reads; not a text under the same name."""
    assert is_sealed(key, b"gAAAA-_=/+x1")
    assert not is_sealed(key, b"a text with blanks")


@pytest.mark.parametrize("key", [b"text", b"token", b"api_key", b"access_token", b"session_token", b"content"])
def test_not_sealed(key: bytes) -> None:
    """Anything else."""
    assert not is_sealed(key, b"gAAAA") and not is_id(key, b"gAAAA")


@pytest.mark.parametrize(
    "key", [b"id", b"call_id", b"tool_use_id", b"toolUseId", b"previous_response_id", b"request-id", b"file_ids", b"responseId"]
)
def test_ids(key: bytes) -> None:
    """Names that the protocol gives."""
    assert is_id(key, b"toolu_01A") and not is_id(key, b"a text")


@pytest.mark.parametrize("key", [b"void", b"grid", b"paid", b"name", b"hidden", b"idea"])
def test_no_ids(key: bytes) -> None:
    """Words that end or begin alike."""
    assert not is_id(key, b"toolu_01A")


def test_a_data_url_within_a_text() -> None:
    """As far as its base64 goes; of several each its own; what stands right behind one too, since a finding may begin with its end."""
    text = b"see ![x](data:image/png;base64,AAAA/BBB) and CCCC, data:;base64,DDDD"
    urls = DataUrls(text)
    inside = {at for at in range(len(text) + 1) if urls.hold(at)}
    first, second = text.index(b"AAAA"), text.index(b"DDDD")
    assert inside == {*range(first, first + 9), *range(second, second + 5)}
    assert not DataUrls(b"x;base64,AAAA").hold(10)
