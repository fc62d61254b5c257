"""Headers, cookies and query parameters that carry credentials, known by their names (matched in any case)."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

_HEADER_EXCEPTIONS = re.compile(r"(?:anthropic-ratelimit-|x-ratelimit-|openai-|access-control-).*|.*-per-token", re.IGNORECASE)
"""Counts and settings whose names hold a credential's word; their values are still scanned for shapes."""

_HEADER = re.compile(
    r"(?:.*[-_])?(?:token|secret|password|passwd|credentials?|api[-_]?key|access[-_]?key|subscription[-_]key|authorization|signature|cookie2?)"
    r"(?:[-_](?:v?\d+|id|key|secret|value))?",
    re.IGNORECASE,
)

_PROTOCOL_HEADER = re.compile(
    r"(?:anthropic|openai)-(?:beta|version)|accept(?:-.*)?|content-(?:type|encoding|length)|user-agent|x-stainless-.*|x-goog-api-client|"
    r"host|date|server|via|etag|connection|transfer-encoding|(?:.*-)?request-id|cf-ray",
    re.IGNORECASE,
)

_PARAMETER = re.compile(
    r"(?:.*[-_.])?(?:key|api[-_]?key|apikey|subscription[-_]key|access[-_]?key|token|secret|password|passwd|pwd|sig|signature|jwt|auth|"
    r"authorization|credentials?|assertion)|(?:access|id|refresh|auth)token|clientsecret|code|x-amz-(?:signature|credential|security-token)",
    re.IGNORECASE,
)

_PARAMETER_EXCEPTIONS = re.compile(r".*(?:page|next|continuation|sync|cache)[-_]?(?:token|key)", re.IGNORECASE)


NAMES_KEPT = 512
"""Names of headers and parameters whose kind is remembered: every call has the same few."""


class HeaderKind(Enum):
    """How the value of a header is looked at."""

    COOKIE = auto()
    CREDENTIAL = auto()
    PROTOCOL = auto()
    TEXT = auto()


@lru_cache(NAMES_KEPT)
def header_kind(name: str) -> HeaderKind:
    """By its name, in any case."""
    if is_cookie_header(name):
        return HeaderKind.COOKIE
    if is_credential_header(name):
        return HeaderKind.CREDENTIAL
    return HeaderKind.PROTOCOL if is_protocol_header(name) else HeaderKind.TEXT


@lru_cache(NAMES_KEPT)
def is_credential_header(name: str) -> bool:
    """Is the whole value of this header a credential? `token` counts as a word, not as part of `remaining-tokens`."""
    return bool(_HEADER.fullmatch(name)) and not _HEADER_EXCEPTIONS.fullmatch(name)


@lru_cache(NAMES_KEPT)
def is_protocol_header(name: str) -> bool:
    """Does this header hold words of the protocol (`anthropic-beta: thinking-token-count-…,…`), which look like `token, value`?"""
    return bool(_PROTOCOL_HEADER.fullmatch(name))


def is_cookie_header(name: str) -> bool:
    """`Cookie` or `Set-Cookie` (RFC 6265): a list of pairs, whose names may be kept."""
    return name.lower() in {"cookie", "set-cookie"}


@lru_cache(NAMES_KEPT)
def is_credential_parameter(name: str) -> bool:
    """Is the value of this (decoded) query parameter a credential?"""
    return bool(_PARAMETER.fullmatch(name)) and not _PARAMETER_EXCEPTIONS.fullmatch(name)
