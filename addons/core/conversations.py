"""Which conversation a call belongs to (DESIGN §6), found in bounded memory while calls run.

A call continues an earlier one when its messages begin with that one's messages *followed by its answer*, or when it names that
answer where the provider keeps the history (`previous_response_id`). Each message
gets a hash chained to those before it, so "begins with" is one look-up per message. Equal first turns are different
conversations: nothing is learnt of a request that was not answered.

What clients change when they send history again is left out of the hash: white space around texts, cache markers,
reasoning and signatures, how a tool call's arguments are spaced, the ids, empty messages and the cutting of a text
into parts; and so are system messages, since agents put the time and the state of the workspace there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import orjson

from addons.core.call import Message, Part

DIGEST_BYTES = 16

_TOOL_ROLES = {"tool": "user"}
"""Anthropic sends tool results as the user's, OpenAI as the tool's own turn."""


class Conversations:
    """Remembers where at most `limit` answered calls ended, the longest unused forgotten first. One thread only."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ends: OrderedDict[tuple[str | None, bytes], str] = OrderedDict()

    def find(self, session: str | None, client: str | None, messages: Sequence[Message], previous: str | None = None) -> str | None:
        """The session where the client names one, else the conversation of the answer that it names (`previous`), else that of the
        longest answered beginning, else None."""
        return session or self.find_after(client, turns(messages), previous)

    def find_after(self, client: str | None, said: Sequence[bytes], previous: str | None = None) -> str | None:
        """The same of the `turns` of the messages, where no session is named."""
        named = [_named(previous)] if previous else []
        for digest in (*named, *reversed(said)):
            key = client, digest
            if key in self._ends:
                self._ends.move_to_end(key)
                return self._ends[key]
        return None

    def learn(self, conversation_id: str, client: str | None, messages: Sequence[Message], answer: Sequence[Message]) -> None:
        """That `messages` were answered by `answer` in this conversation; without an answer nothing is learnt."""
        self.learn_after(conversation_id, client, turns(messages), answer)

    def learn_after(self, conversation_id: str, client: str | None, said: Sequence[bytes], answer: Iterable[Message]) -> None:
        """The same of the `turns` of the messages; hashing a long history takes longer than all else here."""
        before = said[-1] if said else b""
        links = turns(answer, before)
        if links:
            self._remember((client, links[-1]), conversation_id)

    def learn_name(self, conversation_id: str, client: str | None, answer_id: str) -> None:
        """The provider's name of an answer in this conversation; when it is asked for again it stays where it was."""
        key = client, _named(answer_id)
        self._remember(key, self._ends.get(key, conversation_id))

    def _remember(self, key: tuple[str | None, bytes], conversation_id: str) -> None:
        self._ends[key] = conversation_id
        self._ends.move_to_end(key)
        while len(self._ends) > self._limit:
            self._ends.popitem(last=False)


def says_same(one: Iterable[Message], other: Iterable[Message]) -> bool:
    """Do two runs of messages say the same, apart from what clients change when they send history again?"""
    return turns(one)[-1:] == turns(other)[-1:]


def _named(answer_id: str) -> bytes:
    return blake2b(answer_id.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES, person=b"answer id").digest()


def turns(messages: Iterable[Message], before: bytes = b"") -> list[bytes]:
    """What `find_after` and `learn_after` know messages by: one digest per turn that says anything; turns of one role in a row are one
    turn (their parts are hashed singly). `before`: the last one of what was said before."""
    links: list[bytes] = []
    for message in messages:
        links += _links(links[-1] if links else before, message)
    return links


def _links(digest: bytes, message: Message) -> list[bytes]:
    """What becomes of the digest of all before a message, content by content; nothing for a system message."""
    links: list[bytes] = []
    if message.role == "system":
        return links
    role = _TOOL_ROLES.get(message.role, message.role).encode()
    for content in _content(message):
        digest = blake2b(digest + role + b"\0" + content, digest_size=DIGEST_BYTES).digest()
        links.append(digest)
    return links


def end_after(before: bytes, message: Message) -> bytes:
    """The digest of all that was said up to the end of `message`, from that of what was said before it (empty at the beginning): equal
    for a history that a client sends again, `before` itself where the message adds nothing."""
    links = _links(before, message)
    return links[-1] if links else before


def _content(message: Message) -> list[bytes]:
    """What is compared of a message: its joined text, then its tool calls and results in order."""
    parts = message.parts
    if len(parts) == 1 and parts[0].kind == "text":  # most
        text = (parts[0].text or "").strip()
        return [b"text\0" + text.encode("utf-8", "surrogatepass")] if text else []
    text = "".join([part.text or "" for part in parts if part.kind in {"text", "refusal"}]).strip()
    others = [_compared(part) for part in parts if part.kind in {"tool_call", "tool_result", "image", "audio", "file"}]
    return [b"text\0" + text.encode("utf-8", "surrogatepass")] * bool(text) + others


def _compared(part: Part) -> bytes:
    data = part.data or {}
    if part.kind == "tool_call":
        return b"tool_call\0" + str(data.get("name")).encode("utf-8", "surrogatepass") + b"\0" + _arguments(part.text or "")
    if part.kind == "tool_result":
        return b"tool_result\0" + (part.text or "").strip().encode("utf-8", "surrogatepass")
    return orjson.dumps([part.kind, data.get("media_type"), data.get("bytes"), data.get("url")], default=str)


def _arguments(text: str) -> bytes:
    try:
        return orjson.dumps(orjson.loads(text or "{}"), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return text.strip().encode("utf-8", "surrogatepass")  # arguments that are no JSON are compared as they stand
