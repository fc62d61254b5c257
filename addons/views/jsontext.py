"""JSON that others wrote, made readable without harm: what JSON allows and UTF-8 does not, and what would grow on the way.

JSON's escapes may name half of a surrogate pair (`"\\ud83d"`): no page with it could be sent. Lists within lists get a line each when
they are indented, with blanks as deep as they lie: 180 kB of brackets would become 54 MB.
"""

from __future__ import annotations

import json
import re
from typing import Any

from addons.storage.values import sql_text

JSON_CHARACTERS = 200_000  # longer JSON stays as it came
GROWTH = 4  # times the length; ordinary JSON without blanks grows to about twice
SHORT_CHARACTERS = 10_000  # what is no longer when it is indented may have grown by more

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(text: str) -> Any:
    """The value; half a surrogate pair in it is "?". Raises ValueError and RecursionError as json.loads does."""
    value = json.loads(text)
    return json.loads(sql_text(json.dumps(value, ensure_ascii=False))) if _SURROGATE.search(text) else value


def indented(value: Any, longest: int, *, indent: int = 2, sort_keys: bool = False) -> str | None:
    """A value of JSON's types as lines; None where they would be more than `longest` characters. Raises RecursionError."""
    length, pieces = 0, []
    for piece in json.JSONEncoder(indent=indent, ensure_ascii=False, sort_keys=sort_keys).iterencode(value):
        length += len(piece)
        if length > longest:
            return None
        pieces.append(piece)
    return "".join(pieces)


def indent_json(text: str, longest: int = JSON_CHARACTERS, *, indent: int = 2, sort_keys: bool = False) -> str | None:
    """JSON objects and lists, indented; None for all else, for what is very long, and for what would become it."""
    if len(text) > longest or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return indented(parse_json(text), max(GROWTH * len(text), SHORT_CHARACTERS), indent=indent, sort_keys=sort_keys)
    except (ValueError, RecursionError):  # shown as the text that it is
        return None
