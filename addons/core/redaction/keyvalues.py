"""Values that are credentials because of the key that they stand under: `{"password": "…"}`, `{"name": "API_KEY", "value": "…"}`.

The key alone proves nothing: a schema, a translation or a log-probability uses the same words. So the value must look
like one: a single word of some length, with a digit or a sign in it, and no stand-in from somebody's documentation.
"""

from __future__ import annotations

import re
from functools import lru_cache

from addons.core.redaction.findings import Finding

MIN_VALUE_LENGTH = 8
"""Shorter ones are harmless words everywhere; the same bound as for exact strings."""

PASSWORD_FIELD, SECRET_FIELD = "password-field", "secret-field"

_PASSWORD = re.compile(r"(?:.*_)?\w*(?:password|passwd|passphrase|passcode|pwd)(?:_?\d+|_value)?")
_SECRET = re.compile(
    r"(?:.*_)?(?:\w*(?:apikey|secretkey|clientsecret|accesstoken|authtoken|privatekey)|secret|token|bearer|jwt|authorization|credentials?|"
    r"(?:api|access|secret|private|signing|encryption|master|account|subscription|licen[cs]e|service|auth|shared|admin|deploy|webhook)_?key|"
    r"connection_?string|cookie)(?:_?\d+|_value)?"
)
_NO_SECRET = re.compile(
    r"(?:.*_)?(?:max|min|num|page|next|prev|continuation|pagination|resume|sync|cache|cancel|cancellation|stop|start|end|eos|bos|pad|unk|mask|sep|"
    r"cls|special|first|last|input|output|prompt|completion|total|public|budget)_?token"
)

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SCHEME = re.compile(rb"(?:Bearer|Basic|Token|Bot|ApiKey|Key|OAuth|Negotiate|GenieKey|SSWS)[ ]+", re.IGNORECASE)
_STAND_IN = re.compile(
    rb"\*\*\*|example|placeholder|your[_-]|yourkey|xxxx|changeme|change-me|redacted|dummy|\$\{|\{\{|\{[a-z_]|<[a-z]|%[sd(]|\.\.\.|\xe2\x80\xa6|"
    rb"process\.env|environ|getenv|secrets?\.[a-z]|bytes:|^[$@%#]?[\[{(<]|^\$[A-Za-z_]+$|^https?://[^@]*$|^(?:env|file|vault|keyring|op):",
    re.IGNORECASE,
)
_WORDS = re.compile(rb"[A-Za-z]+(?:[_./:-]+[A-Za-z]+)*[:*?!.]*")
_PATH = re.compile(rb"(?:\.{1,2}|~|[A-Z]:)?(?:[/\\][\w.-]+){2,}")
_TOKEN = re.compile(rb"[A-Za-z0-9_.+/=~:@!#$%^&*,;|?-]+")
_BLANK = re.compile(rb"[\x00-\x20]")
_DIGIT = re.compile(rb"[0-9]")
_DIFFERENT = 5  # characters: fewer are a drawing or a filler


def credential(key: bytes, value: bytes) -> Finding | None:
    """The part of a (decoded) value that is a credential by its key; an Authorization's scheme is no part of it."""
    rule = _rule_of(key)
    if rule is None or len(value) < MIN_VALUE_LENGTH:
        return None
    scheme = _SCHEME.match(value)
    start = scheme.end() if scheme else 0
    if not _is_plausible(value[start:], rule):
        return None
    return Finding(start, len(value), rule, keep_tail=rule == SECRET_FIELD and not (scheme and scheme.group()[:5].lower() == b"basic"))


@lru_cache(maxsize=4096)
def _rule_of(key: bytes) -> str | None:
    """By the last word of the name, however it is written (`dbPassword`, `X-API-KEY`, `client_secret`)."""
    if len(key) > 100:
        return None
    name = re.sub(r"[-.\s:]+", "_", _HUMP.sub("_", key.decode("utf-8", "replace"))).lower()
    if _NO_SECRET.fullmatch(name):
        return None
    if _PASSWORD.fullmatch(name):
        return PASSWORD_FIELD
    return SECRET_FIELD if _SECRET.fullmatch(name) else None


def is_credential_key(key: bytes) -> bool:
    """Does a key of this name (UTF-8) hold a credential?"""
    return _rule_of(key) is not None


def _is_plausible(value: bytes, rule: str) -> bool:
    if len(value) < MIN_VALUE_LENGTH or len(set(value)) < _DIFFERENT or _BLANK.search(value, 0, 4096):
        return False
    if _STAND_IN.search(value) or _WORDS.fullmatch(value) or _PATH.fullmatch(value):
        return False
    return rule == PASSWORD_FIELD or bool(_TOKEN.fullmatch(value) and _DIGIT.search(value))
