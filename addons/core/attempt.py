"""Build what is sent upstream: one pure function from the client's untouched request to one attempt.

Every attempt starts from the same request, so nothing of a failed one (a key, a masked body, another model's name)
can find its way into the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote, urlsplit

from addons.core.ask_usage import supports, with_usage
from addons.core.encodings import UndecodableBody, decode
from addons.core.jsonbytes import replace_string
from addons.core.providers import Api, AuthStyle, auth_style, path_at

HeaderFields = tuple[tuple[bytes, bytes], ...]
"""Header pairs as mitmproxy keeps them, so that order, case and bytes stay as the client sent them."""

AUTH_HEADERS: dict[AuthStyle, tuple[bytes, bytes]] = {
    "bearer": (b"Authorization", b"Bearer "),
    "x-api-key": (b"x-api-key", b""),
    "x-goog-api-key": (b"x-goog-api-key", b""),
    "api-key": (b"api-key", b""),
}
CREDENTIAL_HEADERS = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"cookie", b"x-amz-security-token"})
CREDENTIAL_PARAMETERS = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "token"})
ACCOUNT_HEADERS = frozenset({b"openai-organization", b"openai-project", b"chatgpt-account-id"})  # name the owner of the credential
OWN_PREFIX = b"x-turnpike-"
OWN_HEADERS = frozenset({b"x-upstream-name", b"proxy-authorization", b"proxy-connection"})  # the last two: RFC 9110 §7.6.1, §11.7.1


@dataclass(frozen=True, slots=True)
class Request:
    """A request as plain values. `path` holds the query; `body` is None while it is streamed past us.

    `asked_usage`: the body asks for usage that the client did not ask for, so the answer to that must be taken out again.
    """

    method: str
    scheme: str
    host: str
    port: int
    path: str
    headers: HeaderFields
    body: bytes | None
    asked_usage: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where an attempt goes. Without `base_url` it goes on to the host that the client asked for."""

    provider: str
    base_url: str | None = None
    model: str | None = None
    ask_usage: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """own: the client's stays as it is. none: all are taken off. key: all are taken off and this one put in."""

    kind: Literal["own", "none", "key"]
    value: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.kind})"  # a key is never shown


OWN = Credential("own")
NONE = Credential("none")


class NotSpoken(ValueError):
    """The target's provider has no such API."""


def build(request: Request, api: Api, target: Target, credential: Credential) -> Request:
    """The request of one attempt. Raises NotSpoken where the target's provider does not speak the API's family."""
    scheme, host, port, path = _address(request, api, target)
    request = replace(request, headers=without_own(request.headers))
    if target.model is not None:
        path = _with_model(path, api, target.model)
        request = _with_body(request, replace_string(_plain_body(request), "model", target.model))
    if target.ask_usage and supports(api.name, target.provider):
        request = _asking(request)
    headers = request.headers
    if credential.kind != "own":
        headers = _without(headers, CREDENTIAL_HEADERS | ACCOUNT_HEADERS)
        path = strip_parameters(path)
    if credential.kind == "key":
        name, scheme_word = AUTH_HEADERS[auth_style(target.provider, api.family)]
        headers = (*headers, (name, scheme_word + credential.value.encode()))
    return replace(request, scheme=scheme, host=host, port=port, path=path, headers=headers)


def _address(request: Request, api: Api, target: Target) -> tuple[str, str, int, str]:
    if target.base_url is None:
        return request.scheme, request.host, request.port, request.path
    base = urlsplit(target.base_url)
    path = path_at(target.provider, base.path, api)
    if path is None:
        raise NotSpoken(f"{target.provider} has no {api.family} API")
    query = request.path.partition("?")[2]
    port = base.port or (443 if base.scheme == "https" else 80)
    return base.scheme, base.hostname or "", port, f"{path}?{query}" if query else path


def _with_model(path: str, api: Api, model: str) -> str:
    if api.model is None:
        return path
    bare, mark, query = path.partition("?")
    at = bare.rindex(f"/{api.model}")  # a rule that names a model has it as a whole segment
    return bare[: at + 1] + quote(model, safe="") + bare[at + 1 + len(api.model) :] + mark + query


def _plain_body(request: Request) -> bytes:
    """The body without its Content-Encoding. Raises UndecodableBody where it can't be read."""
    encoding = next((value.decode("latin-1") for name, value in request.headers if name.lower() == b"content-encoding"), None)
    return decode(request.body, encoding) if request.body and encoding else request.body or b""


def _with_body(request: Request, body: bytes) -> Request:
    """Another body, sent plain whatever the client's was."""
    if not request.body:
        return request
    return replace(request, headers=_without(request.headers, frozenset({b"content-encoding"})), body=body)


def _asking(request: Request) -> Request:
    """With the usage asked for, if the client did not. The answer must come plain then, since a chunk will be taken out of it."""
    try:
        body = with_usage(_plain_body(request))
    except UndecodableBody:  # for the upstream to refuse, if it can't read it either
        return request
    if body is None:
        return request
    request = _with_body(request, body)
    headers = _without(request.headers, frozenset({b"accept-encoding"}))
    return replace(request, headers=(*headers, (b"Accept-Encoding", b"identity")), asked_usage=True)


def without_own(headers: HeaderFields) -> HeaderFields:
    """The headers without those that are meant for the proxy itself."""
    return tuple(pair for pair in _without(headers, OWN_HEADERS) if not pair[0].lower().startswith(OWN_PREFIX))


def _without(headers: HeaderFields, names: frozenset[bytes]) -> HeaderFields:
    return tuple(pair for pair in headers if pair[0].lower() not in names)


def strip_parameters(path: str) -> str:
    """The path without query parameters that carry a credential; the others stay letter for letter."""
    bare, mark, query = path.partition("?")
    if not mark:
        return path
    kept = [item for item in query.split("&") if item.partition("=")[0].lower() not in CREDENTIAL_PARAMETERS]
    return f"{bare}?{'&'.join(kept)}" if kept else bare


def own_credential(headers: HeaderFields, path: str) -> str:
    """The credential that the client sent, "" if none; to decide whether it is a placeholder (`inject: placeholder`)."""
    for name, value in headers:
        if name.lower() in CREDENTIAL_HEADERS - {b"cookie"}:
            text = value.decode("utf-8", "replace").strip()
            return text[7:].strip() if text[:7].lower() == "bearer " else text
    for item in path.partition("?")[2].split("&"):
        name_text, _, text = item.partition("=")
        if name_text.lower() in CREDENTIAL_PARAMETERS:
            return text
    return ""
