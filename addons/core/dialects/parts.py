"""Message parts out of the content blocks that several dialects share, in one form whatever the dialect (see `Part`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from addons.core.call import Message, Part, PartKind
from addons.core.jsonvalues import compact, compact_text, count, dig, label, obj, text

ROLES = {"developer": "system", "model": "assistant", "function": "tool", "human": "user", "ai": "assistant", "chatbot": "assistant"}
MAX_URL_CHARACTERS = 2000  # longer ones are content in disguise


def role_of(value: Any, otherwise: str = "user") -> str:
    """The shared name of a dialect's role."""
    found = (text(value, "role") or otherwise).lower()
    return ROLES.get(found, found)


def message(role: str, parts: Iterable[Part | None]) -> Message | None:
    """None for a message without parts. One of tool results alone is the tool's, also where the dialect calls it the user's."""
    kept = tuple([part for part in parts if part is not None])
    if not kept:
        return None
    only_results = role == "user" and all([part.kind == "tool_result" for part in kept])
    return Message("tool" if only_results else role, kept)


def messages(made: Iterable[Message | None]) -> tuple[Message, ...]:
    return tuple([one for one in made if one is not None])


def text_part(value: Any, kind: PartKind = "text") -> Part | None:
    """None for what is no string or empty."""
    return Part(kind, value) if isinstance(value, str) and value else None


def tool_call(arguments: Any, call_id: str | None, name: str | None) -> Part:
    """`arguments` as JSON text or as a JSON value."""
    shown = compact_text(arguments) if isinstance(arguments, str) else "" if arguments is None else compact(arguments)
    return Part("tool_call", shown, {"id": call_id, "name": name})


def tool_result(content: Any, call_id: str | None) -> Part:
    return Part("tool_result", flat_text(content), {"id": call_id})


def flat_text(content: Any) -> str | None:
    """The text of a result: a string, a list of blocks with text (or title and url), or any JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(_block_text, content))) or None
    return None if content is None else compact(content)


def _block_text(block: Any) -> str | None:
    if isinstance(block, str):
        return block
    return text(block, "text") or " ".join(filter(None, (text(block, "title"), text(block, "url")))) or None


def media(kind: PartKind, content: Any, media_type: str | None = None) -> Part:
    """An image, audio or file given as base64, as a data URL or as a URL; never its content."""
    if not isinstance(content, str):
        return Part(kind, None, {"media_type": media_type})
    if content.startswith("data:"):
        header, _, encoded = content.partition(",")
        declared = header[5:].partition(";")[0]
        size = base64_size(encoded) if header.endswith(";base64") else len(encoded)
        return Part(kind, None, {"media_type": declared or media_type, "bytes": size})
    if "://" in content[:32]:
        return Part(kind, None, {"url": content[:MAX_URL_CHARACTERS]})
    return Part(kind, None, {"media_type": media_type, "bytes": base64_size(content)})


def base64_size(encoded: str) -> int:
    """How many bytes base64 text (with or without padding and line ends) decodes to, without decoding it."""
    characters = len(encoded) - encoded.count("\n") - encoded.count("\r") - encoded[-4:].count("=")
    return characters * 3 // 4


def named_file(kind: PartKind, value: Any, id_key: str = "file_id") -> Part:
    """A file that the provider keeps: its id and name."""
    known = {"id": label(value, id_key), "name": text(value, "filename") or text(value, "name"), "bytes": count(value, "bytes")}
    return Part(kind, None, {key: found for key, found in known.items() if found is not None} or {"id": None})


def other(value: Any) -> Part:
    """A block of a type that has no form of its own here: its type, so that it is not lost without a trace."""
    return Part("other", text(value, "text"), {"type": label(value, "type") or "unknown"})


def openai_part(block: Any) -> Part | None:
    """A content block of OpenAI's chat and responses dialects and those that follow them."""
    if isinstance(block, str):
        return text_part(block)
    kind = text(block, "type") or ("text" if text(block, "text") else "")
    reader = _OPENAI_BLOCKS.get(kind)
    return reader(block) if reader else other(block)


def openai_parts(content: Any) -> list[Part | None]:
    """`content` as a string or as a list of blocks."""
    if isinstance(content, list):
        return [openai_part(block) for block in content]
    return [text_part(content)]


def _image(block: Any) -> Part:
    address = dig(block, "image_url")
    found = address if isinstance(address, str) else dig(address, "url")
    return media("image", found) if found is not None else named_file("image", block)


def _audio(block: Any) -> Part:
    inner = obj(block, "input_audio")
    return media("audio", dig(inner, "data"), f"audio/{text(inner, 'format') or 'wav'}")


def _file(block: Any) -> Part:
    inner = obj(block, "file") or block
    content = text(inner, "file_data") or text(inner, "file_url")
    return media("file", content) if content else named_file("file", inner)


def _thinking(block: Any) -> Part | None:
    """Mistral: `{"type": "thinking", "thinking": [{"type": "text", "text": …}]}`."""
    return text_part(flat_text(dig(block, "thinking")), "reasoning")


def _text(block: Any) -> Part | None:
    return text_part(dig(block, "text"))


_OPENAI_BLOCKS: dict[str, Callable[[Any], Part | None]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "summary_text": _text,
    "refusal": lambda block: text_part(dig(block, "refusal"), "refusal"),
    "thinking": _thinking,
    "reasoning_text": lambda block: text_part(dig(block, "text"), "reasoning"),
    "image_url": _image,
    "input_image": _image,
    "input_audio": _audio,
    "file": _file,
    "input_file": _file,
    "document_url": lambda block: media("file", dig(block, "document_url")),
    "video_url": lambda block: media("file", dig(block, "video_url", "url")),
}
