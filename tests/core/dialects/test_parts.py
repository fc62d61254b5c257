"""Parts in one form whatever the dialect."""

from __future__ import annotations

import base64

import pytest

from addons.core.call import Message, Part
from addons.core.dialects.parts import base64_size, flat_text, media, message, openai_parts, role_of


@pytest.mark.parametrize("size", range(7))
def test_base64_is_measured_without_decoding(size: int) -> None:
    """With padding, without it, and in lines."""
    encoded = base64.b64encode(b"x" * size).decode()
    assert base64_size(encoded) == base64_size(encoded.rstrip("=")) == size
    assert base64_size(base64.encodebytes(b"y" * 100).decode()) == 100


def test_media_never_hold_their_content() -> None:
    """Base64, data URLs, plain URLs, and what is none of them."""
    assert media("image", "data:image/webp;base64,QUJD") == Part("image", None, {"media_type": "image/webp", "bytes": 3})
    assert media("image", "https://x/y.png") == Part("image", None, {"url": "https://x/y.png"})
    assert media("audio", "QUJD", "audio/wav") == Part("audio", None, {"media_type": "audio/wav", "bytes": 3})
    assert media("file", 7) == Part("file", None, {"media_type": None})


def test_roles_have_shared_names() -> None:
    """developer → system, model → assistant, function → tool; what is no string is the user's."""
    assert [role_of({"role": role}) for role in ("developer", "model", "function", "Assistant", None, 5)] == [
        "system",
        "assistant",
        "tool",
        "assistant",
        "user",
        "user",
    ]


def test_messages_without_parts_and_of_results_alone() -> None:
    """Nothing is no message; a user's message of tool results alone is the tool's, a mixed one stays the user's."""
    result, said = Part("tool_result", "r", {"id": "1"}), Part("text", "x")
    assert message("user", [None]) is None
    assert message("user", [result]) == Message("tool", (result,))
    assert message("user", [result, said]) == Message("user", (result, said))


def test_unknown_blocks_leave_a_trace() -> None:
    """A block of an unknown type is kept by its type; wrong ones do no harm."""
    assert openai_parts([{"type": "hologram"}, 7, None, {"text": "t"}]) == [
        Part("other", None, {"type": "hologram"}),
        Part("other", None, {"type": "unknown"}),
        Part("other", None, {"type": "unknown"}),
        Part("text", "t"),
    ]


def test_results_are_flat_text() -> None:
    """Strings, blocks of text or links, any JSON."""
    assert flat_text("x") == "x"
    assert flat_text([{"type": "text", "text": "a"}, {"title": "T", "url": "u"}, "b", 7]) == "a\nT u\nb"
    assert flat_text({"a": 1}) == '{"a":1}'
    assert flat_text(None) is None
