"""Addresses of our own pages, below whatever `base_url` Datasette has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

DOTS = frozenset({"", ".", ".."})
"""A browser takes these out of a path, encoded or not."""


@dataclass(frozen=True, slots=True)
class Links:
    """`path` is Datasette's `urls.path`. Ids of conversations may be any text: they are percent-encoded, `/` too."""

    path: Callable[[str], str]

    def call(self, call_id: str) -> str:
        return self.path(f"/-/llm/call/{quote(call_id, safe='')}")

    def conversation(self, conversation_id: str, page: int = 1) -> str:
        query = {"page": page} if page > 1 else {}
        if conversation_id in DOTS:
            return self.path(f"/-/llm/conversation/?{urlencode({'id': conversation_id, **query})}")
        address = self.path(f"/-/llm/conversation/{quote(conversation_id, safe='')}")
        return f"{address}?{urlencode(query)}" if query else address

    def body(self, call_id: str, kind: str, form: str | None = None) -> str:
        """The bytes of a body, as a download; `form` `pretty`: its JSON indented."""
        return self.path(f"/-/llm/body/{quote(call_id, safe='')}/{kind}") + (f"?form={form}" if form else "")

    def image(self, call_id: str, kind: str, number: int) -> str:
        return self.path(f"/-/llm/image/{quote(call_id, safe='')}/{kind}/{number}")

    def diff(self, one: str, other: str) -> str:
        return self.path(f"/-/llm/diff?{urlencode({'a': one, 'b': other})}")
