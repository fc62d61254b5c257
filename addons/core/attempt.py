"""Build what is sent upstream: one pure function from the client's untouched request to one attempt.

Every attempt starts from the same request, so nothing of a failed one (a key, a masked body, another model's name)
can find its way into the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import quote, unquote_plus, urlsplit

from addons.core.ask_usage import supports, with_usage
from addons.core.encodings import UndecodableBody, decode
from addons.core.jsonbytes import replace_string
from addons.core.providers import Api, AuthStyle, auth_style, path_at
from addons.core.redaction.names import is_cookie_header, is_credential_header, is_credential_parameter

HeaderFields = tuple[tuple[bytes, bytes], ...]
"""Header pairs as mitmproxy keeps them, so that order, case and bytes stay as the client sent them."""

AUTH_HEADERS: dict[AuthStyle, tuple[bytes, bytes]] = {
    "bearer": (b"Authorization", b"Bearer "),
    "x-api-key": (b"x-api-key", b""),
    "x-goog-api-key": (b"x-goog-api-key", b""),
    "api-key": (b"api-key", b""),
}
SUBPROTOCOLS, SUBPROTOCOL_KEY = b"sec-websocket-protocol", b"openai-insecure-api-key."  # how browsers hand OpenAI's realtime API a key
ACCOUNT_HEADERS = frozenset({b"openai-organization", b"openai-project", b"chatgpt-account-id"})  # name the owner of the credential
OWN_PREFIX = b"x-turnpike-"
OWN_HEADERS = frozenset({b"x-upstream-name", b"proxy-authorization", b"proxy-connection"})  # the last two: RFC 9110 §7.6.1, §11.7.1


@dataclass(frozen=True, slots=True)
class Request:
    """A request as plain values. `path` holds the query; `body` is None while it is streamed past us.

    `asked_usage`: the body asks for usage that the client did not ask for, so the answer to that must be taken out again.
    `model`: the model name that was put in, None where the client's stayed. What may hold a credential is in no repr.
    """

    method: str
    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    headers: HeaderFields = field(repr=False)
    body: bytes | None = field(repr=False)
    asked_usage: bool = False
    model: str | None = None


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
        path, request = _with_model(path, request, api, target.model)
    if target.ask_usage and supports(api.name, target.provider):
        request = _asking(request)
    headers = request.headers
    if credential.kind != "own":
        headers = without_credentials(headers)
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


def _with_model(path: str, request: Request, api: Api, model: str) -> tuple[str, Request]:
    """Another model's name where the client's stands: in the path, in a JSON body, or nowhere (a form, a body that is not held)."""
    if api.model is not None:
        bare, mark, query = path.partition("?")
        start, end = (len(bare) - len(api.rest) + at for at in api.model_at)
        return bare[:start] + quote(model, safe="") + bare[end:] + mark + query, replace(request, model=model)
    plain = _plain_body(request)
    body = replace_string(plain, "model", model)
    return path, request if body is plain else replace(_with_body(request, body), model=model)


def _plain_body(request: Request) -> bytes:
    """The body without its Content-Encoding. Raises UndecodableBody where it can't be read."""
    encoding = content_encoding(request.headers)
    return decode(request.body, encoding) if request.body and encoding else request.body or b""


def content_encoding(headers: HeaderFields) -> str | None:
    """The Content-Encoding, several lines of it joined (RFC 9110 §5.3); None where there is none."""
    return ", ".join(value.decode("latin-1") for name, value in headers if name.lower() == b"content-encoding") or None


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


def without_credentials(headers: HeaderFields) -> HeaderFields:
    """The headers without any that carries a credential or names its owner."""
    kept = tuple((name, value) for name, value in headers if name.lower() not in ACCOUNT_HEADERS and not _carries_credential(name))
    return tuple((name, _without_key(value) if name.lower() == SUBPROTOCOLS else value) for name, value in kept)


def _carries_credential(name: bytes) -> bool:
    text = name.decode("latin-1")
    return is_credential_header(text) or is_cookie_header(text)


def _without_key(subprotocols: bytes) -> bytes:
    return b", ".join(item for part in subprotocols.split(b",") if not (item := part.strip()).startswith(SUBPROTOCOL_KEY))


def _without(headers: HeaderFields, names: frozenset[bytes]) -> HeaderFields:
    return tuple(pair for pair in headers if pair[0].lower() not in names)


def strip_parameters(path: str) -> str:
    """The path without query parameters that carry a credential; the others stay letter for letter."""
    bare, mark, query = path.partition("?")
    if not mark:
        return path
    kept = [item for item in query.split("&") if not is_credential_parameter(unquote_plus(item.partition("=")[0]))]
    return f"{bare}?{'&'.join(kept)}" if kept else bare


def own_credential(headers: HeaderFields, path: str) -> str:
    """The credential that the client sent, "" if none; to decide whether it is a placeholder (`inject: placeholder`)."""
    for name, value in headers:
        if is_credential_header(text_name := name.decode("latin-1")) and not is_cookie_header(text_name):
            text = value.decode("utf-8", "replace").strip()
            return text[7:].strip() if text[:7].lower() == "bearer " else text
    for item in path.partition("?")[2].split("&"):
        name_text, _, text = item.partition("=")
        if is_credential_parameter(unquote_plus(name_text)):
            return text
    return ""
