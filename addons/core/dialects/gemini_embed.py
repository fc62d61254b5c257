"""Gemini's embedContent and batchEmbedContents. Vertex reports usage, the Gemini API none.

https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from addons.core.call import RequestReading
from addons.core.dialects import gemini
from addons.core.jsonvalues import dig, obj, objects


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    """All contents are turns of the user's."""
    contents = [dig(entry, "content") for entry in objects(body, "requests")] or [obj(body, "content")]
    found = gemini.read_request(path, {"contents": [content for content in contents if content]})
    return replace(found, stream=False)
