"""The text fields of a `multipart/form-data` body (RFC 7578), as the JSON object that they would be elsewhere.

Audio and pictures are sent so; their files are not looked at.
"""

from __future__ import annotations

import re
from typing import Any

MAX_FIELD_BYTES = 64 * 1024  # longer ones are files without a name
MAX_BOUNDARY = 72  # two hyphens and at most 70 characters (RFC 2046 §5.1.1)

_NAME = re.compile(rb'name="([^"]*)"', re.IGNORECASE)
_FILE = re.compile(rb"filename\*?=", re.IGNORECASE)
_WORDS: dict[str, bool] = {"true": True, "false": False}


def fields_of(body: bytes) -> dict[str, Any]:
    """Name → text; `true` and `false` as JSON has them. Empty for what is no form."""
    boundary = body[:MAX_BOUNDARY].partition(b"\n")[0].rstrip(b"\r")
    if not boundary.startswith(b"--") or len(boundary) <= len(b"--"):
        return {}
    found: dict[str, Any] = {}
    for part in body.split(boundary)[1:]:
        head, _, content = part.replace(b"\r\n", b"\n", 1).partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name and not _FILE.search(head) and len(content) <= MAX_FIELD_BYTES:
            shown = content.removesuffix(b"\r\n").decode("utf-8", "replace")
            found[name[1].decode("utf-8", "replace")] = _WORDS.get(shown, shown)
    return found
