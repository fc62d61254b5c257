"""How the configuration's errors are worded: one line, no secret in it.

ConfigError      where, what, remedy
show / mask      a value as an error may name it
wording          what pydantic found, in plain words
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic_core import ErrorDetails, PydanticCustomError

_LONGEST_SHOWN = 80
_SHORTEST_HINTED = 12  # a shorter secret would be half told by its last four characters

# What a key looks like wherever it is met: known beginnings, long runs with digits or mixed case, credentials in URLs.
_KEY_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?:sk|gsk|xai|pplx)[-_][A-Za-z0-9_-]{6}
      | AIza | \bBearer\s
      | (?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{16,}
      | (?=[A-Z]*[a-z])(?=[a-z]*[A-Z])[A-Za-z]{20,}
      | ://[^/\s]*@
      | [?&](?:key|token|api[-_]?key)=""",
    re.VERBOSE,
)
_NAME_OF_A_PLACE = re.compile(r"[A-Z][A-Z0-9_]*\*?|[\w.~-]*[/.][\w./ ~-]*|[\d.]+")

# How pydantic's types of error are put, where its own words speak of Python.
_WORDS: Mapping[str, str] = {
    "missing": "but required",
    "model_type": "should be a section (name: value)",
    "model_attributes_type": "should be a section (name: value)",
    "dict_type": "should be a section (name: value)",
    "tuple_type": "should be a list",
    "string_type": "should be a text",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
    "path_type": "should be a path",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
}
BAD_VALUE = "bad_value"
UNKNOWN_SETTING = "unknown_setting"


class ConfigError(ValueError):
    """What is wrong with the configuration, in one line: file, dotted path, value (masked where secret), remedy.

    `watched` are the files whose change may mend it.
    """

    def __init__(self, text: str, watched: Iterable[Path] = ()) -> None:
        super().__init__(" ".join(text.split()))
        self.watched = tuple(watched)


def looks_like_key(text: str) -> bool:
    """Has this text the shape of a credential? Errs on the side of yes."""
    return bool(_KEY_SHAPES.search(text))


def mask(text: str) -> str:
    """A secret as it may be shown: its last four characters, or nothing of a short one."""
    return f"…{text[-4:]} (masked)" if len(text) >= _SHORTEST_HINTED else "… (masked)"


def mask_if_key(text: str) -> str:
    """The text, masked if it looks like a key."""
    return mask(text) if looks_like_key(text) else text


def nearest(name: str, known: Iterable[str]) -> str:
    """A question that ends an error about an unknown name, where one of the known is near; else nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def show(value: object, *, secret: bool = False) -> str:
    """A value as an error names it: short, in one line, masked if it looks like a key.

    With `secret` (where keys are configured) a text is shown only if it is plainly a name, a path or a number.
    """
    if isinstance(value, str):
        if looks_like_key(value) or (secret and "${" not in value and not _NAME_OF_A_PLACE.fullmatch(value)):
            return mask(value)
        return repr(value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "…")
    for kind, word in ((bool, str(value).lower()), (Mapping, "a section"), (list | tuple, "a list"), (type(None), "nothing")):
        if isinstance(value, kind):
            return word
    return str(value)


def bad(text: str) -> PydanticCustomError:
    """For validators: what is wrong with the value, and the remedy. The value itself is put before it."""
    return PydanticCustomError(BAD_VALUE, "{text}", {"text": text})


def unknown(key: str, text: str) -> PydanticCustomError:
    """For validators of a section: `key` is no setting of it."""
    return PydanticCustomError(UNKNOWN_SETTING, "{text}", {"text": text, "key": key})


def wording(error: ErrorDetails) -> str:
    """What is wrong and what would be right, without the value."""
    if error["type"] in (BAD_VALUE, UNKNOWN_SETTING):
        return error["msg"]
    return _WORDS.get(error["type"]) or error["msg"].replace("Input should be", "should be", 1)
