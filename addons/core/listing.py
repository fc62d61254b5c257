"""What models an upstream has, as it says itself: how each provider is asked, and what its answer means.

Sources: the providers' API references ("List models"; Ollama: "List local models"). The request is built as any attempt is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from addons.core.attempt import ACCOUNT_HEADERS, AUTH_HEADERS, Credential, HeaderFields, Request, Target, build, own_credential
from addons.core.jsonvalues import count, objects, parse, text
from addons.core.providers import PROVIDERS, Api, Family, auth_style
from addons.core.redaction.names import is_cookie_header, is_credential_header

MAX_MODELS = 10_000
"""Of one upstream. The longest list known (OpenRouter's) has some hundreds."""

LONGEST_ID = 256
YEAR_10000 = 253_402_300_800  # in Unix seconds; dates end there
BETAS = b"anthropic-beta"  # without the one for OAuth a subscription's token is refused
ACCEPT: HeaderFields = ((b"Accept", b"application/json"), (b"Accept-Encoding", b"gzip"))


class NotAList(ValueError):
    """The answer is no list of models."""


class Listed(NamedTuple):
    """A model in a list. `created` in Unix seconds; None: the provider does not say."""

    id: str
    created: int | None = None
    owned_by: str | None = None
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a family is asked (`rest` as in the table of API paths) and where its answer has what; the first name that is there counts."""

    rest: str
    rows: str
    ids: tuple[str, ...]
    query: str = ""
    headers: HeaderFields = ()
    created: str = "created"
    display_name: str = "display_name"


_SHAPES: Mapping[Family, _Shape] = {
    "openai": _Shape("/models", "data", ("id",)),
    "anthropic": _Shape("/models", "data", ("id",), "limit=1000", ((b"anthropic-version", b"2023-06-01"),), created="created_at"),
    "gemini": _Shape("/v1beta/models", "models", ("name",), "pageSize=1000", display_name="displayName"),
    "ollama": _Shape("/tags", "models", ("model", "name"), created="modified_at"),
    "cohere": _Shape("/v1/models", "models", ("name",), "page_size=1000"),
}

NO_LIST: Mapping[str, str] = {
    "azure": "Azure lists base models, not your deployments",
    "bedrock": "Bedrock lists its models at another host",
    "vertex": "Vertex lists its models per publisher and project",
    "voyage": "Voyage has no list of models",
    "perplexity": "Perplexity has no list of models at its API's root",
}
"""Providers that are not asked, and why."""


def family_of(provider: str) -> Family:
    """The provider's own wire: the first that it speaks in the table of providers."""
    return next(iter(PROVIDERS[provider].speaks))


def list_request(provider: str, base_url: str, credential: Credential, own: HeaderFields = ()) -> Request:
    """Asks for the list; `own` are the client's headers that go along with its own credential (`own_headers`)."""
    family = family_of(provider)
    shape = _SHAPES[family]
    request = Request(
        "GET", "https", "", 443, f"{shape.rest}?{shape.query}" if shape.query else shape.rest, (*ACCEPT, *shape.headers, *own), None
    )
    return build(request, Api("other", family, shape.rest), Target(provider, base_url), credential)


def own_headers(headers: HeaderFields, path: str, provider: str) -> HeaderFields:
    """Those of a client's headers that carry its credential, or belong to it; a key in the query becomes the provider's header.

    Empty where the client sent no credential.
    """
    kept = tuple(pair for pair in headers if _is_credential(pair[0]))
    if not any(value.strip() for _, value in kept):
        key = own_credential((), path)
        if not key:
            return ()
        name, word = AUTH_HEADERS[auth_style(provider, family_of(provider))]
        kept = ((name, word + key.encode()),)
    return (*kept, *(pair for pair in headers if pair[0].lower() in ACCOUNT_HEADERS or pair[0].lower() == BETAS))


def _is_credential(name: bytes) -> bool:
    bare = name.decode("latin-1")
    return is_credential_header(bare) and not is_cookie_header(bare) and name.lower() != b"proxy-authorization"


def read_list(provider: str, body: bytes) -> tuple[Listed, ...]:
    """The models of an answer, each once, in its order. Raises NotAList."""
    value, shape = parse(body), _SHAPES[family_of(provider)]
    rows = value if isinstance(value, list) else value.get(shape.rows) if isinstance(value, dict) else None  # a bare list: Together
    if not isinstance(rows, list):
        raise NotAList
    found: dict[str, Listed] = {}
    for row in objects(rows)[:MAX_MODELS]:
        if listed := _listed(row, shape):
            found.setdefault(listed.id, listed)
    return tuple(found.values())


def _listed(row: dict[str, Any], shape: _Shape) -> Listed | None:
    name = next((found for key in shape.ids if (found := text(row, key))), None)
    if name is None or len(name) > LONGEST_ID:
        return None
    return Listed(name.removeprefix("models/"), _time(row, shape.created), text(row, "owned_by"), text(row, shape.display_name))


def _time(row: dict[str, Any], key: str) -> int | None:
    """A time as Unix seconds or ISO 8601. What stands there where the provider does not know it (0, the year 1) is None."""
    at = count(row, key) or 0
    if written := text(row, key):
        try:
            parsed = datetime.fromisoformat(written)
        except ValueError:
            return None
        at = int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    return at if 0 < at < YEAR_10000 else None
