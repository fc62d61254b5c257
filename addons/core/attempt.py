"""Build what is sent upstream: one pure function from the client's untouched request to one attempt.

Every attempt starts from the same request, so nothing of a failed one (a key, a masked body, another model's name)
can find its way into the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit

from addons.core.ask_usage import Fields, supports, with_usage
from addons.core.encodings import UndecodableBody, decode
from addons.core.jsonbytes import put_string, read_string
from addons.core.memo import Memo
from addons.core.providers import Api, AuthStyle, auth_style, path_at
from addons.core.redaction.names import is_cookie_header, is_credential_header, is_credential_parameter

Read = Callable[[], Fields | None]
"""Gives the members of a body that decide, where somebody has parsed it already; None: it is no object."""

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
CONTENT_ENCODING, ACCEPT_ENCODING = frozenset({b"content-encoding"}), frozenset({b"accept-encoding"})
OWN_PREFIX = b"x-turnpike-"
OWN_HEADERS = frozenset({b"x-upstream-name", b"proxy-authorization", b"proxy-connection"})  # the last two: RFC 9110 §7.6.1, §11.7.1


class Request(NamedTuple):
    """A request as plain values. `path` holds the query; `body` is None while it is streamed past us.

    `asked_usage`: the body asks for usage that the client did not ask for, so the answer to that must be taken out again.
    `model`: the model name that was put in, None where the client's stayed.
    """

    method: str
    scheme: str
    host: str
    port: int
    path: str
    headers: HeaderFields
    body: bytes | None
    asked_usage: bool = False
    model: str | None = None

    def __repr__(self) -> str:
        """Without what may hold a credential: path, headers, body."""
        return f"Request({self.method} {self.scheme}://{self.host}:{self.port}, model={self.model}, asked_usage={self.asked_usage})"


class Target(NamedTuple):
    """Where an attempt goes. Without `base_url` it goes on to the host that the client asked for."""

    provider: str
    base_url: str | None = None
    model: str | None = None
    ask_usage: bool = False


class Credential(NamedTuple):
    """own: the client's stays as it is. none: all are taken off. key: all are taken off and this one put in."""

    kind: Literal["own", "none", "key"]
    value: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.kind})"  # a key is never shown


OWN = Credential("own")
NONE = Credential("none")


class NotSpoken(ValueError):
    """The target's provider has no such API."""


@dataclass(slots=True)
class _Draft:
    """What becomes of a request, step by step."""

    path: str
    headers: HeaderFields
    body: bytes | None
    asked_usage: bool = False
    model: str | None = None


def build(request: Request, api: Api, target: Target, credential: Credential, read: Read | None = None) -> Request:
    """The request of one attempt. Raises NotSpoken where the target's provider does not speak the API's family.

    `read` tells of this request's body, if anybody can.
    """
    scheme, host, port, path = _address(request, api, target)
    draft = _Draft(path, request.headers, request.body, request.asked_usage, request.model)
    if target.model is not None:
        _put_model(draft, api, target.model, read)
    if target.ask_usage and supports(api.name, target.provider):
        _ask_usage(draft, read)
    if credential.kind == "own":
        headers, path = without_own(draft.headers), draft.path
    else:
        headers, path = without_credentials(draft.headers), strip_parameters(draft.path)
    if credential.kind == "key":
        name, scheme_word = AUTH_HEADERS[auth_style(target.provider, api.family)]
        headers = (*headers, (name, scheme_word + credential.value.encode()))
    return Request(request.method, scheme, host, port, path, headers, draft.body, draft.asked_usage, draft.model)


def _address(request: Request, api: Api, target: Target) -> tuple[str, str, int, str]:
    if target.base_url is None:
        return request.scheme, request.host, request.port, request.path
    scheme, host, port, base_path = _BASES[target.base_url]
    path = path_at(target.provider, base_path, api)
    if path is None:
        raise NotSpoken(f"{target.provider} has no {api.family} API")
    query = request.path.partition("?")[2]
    return scheme, host, port, f"{path}?{query}" if query else path


def _base(base_url: str) -> tuple[str, str, int, str]:
    base = urlsplit(base_url)
    return base.scheme, base.hostname or "", base.port or (443 if base.scheme == "https" else 80), base.path


_BASES = Memo[str, tuple[str, str, int, str]](_base)


def _put_model(draft: _Draft, api: Api, model: str, read: Read | None) -> None:
    """Another model's name where the client's stands: in the path, in a JSON body, or nowhere (a form, a body that is not held)."""
    if api.model is not None:
        bare, mark, query = draft.path.partition("?")
        start, end = (len(bare) - len(api.rest) + at for at in api.model_at)
        draft.path, draft.model = bare[:start] + quote(model, safe="") + bare[end:] + mark + query, model
        return
    plain = _plain_body(draft)
    known = isinstance((read() or {}).get("model"), str) if read else read_string(plain, "model") is not None
    body = put_string(plain, "model", model) if known else plain
    if body is not plain:
        _put_body(draft, body)
        draft.model = model


def _plain_body(draft: _Draft) -> bytes:
    """The body without its Content-Encoding. Raises UndecodableBody where it can't be read."""
    encoding = content_encoding(draft.headers) if draft.body else None
    return decode(draft.body, encoding) if draft.body and encoding else draft.body or b""


def content_encoding(headers: HeaderFields) -> str | None:
    """The Content-Encoding, several lines of it joined (RFC 9110 §5.3); None where there is none."""
    values = [value.decode("latin-1") for name, value in headers if LOWER[name] == b"content-encoding"]
    return ", ".join(values) or None


def _put_body(draft: _Draft, body: bytes) -> None:
    """Another body, sent plain whatever the client's was."""
    if draft.body:
        draft.headers, draft.body = _without(draft.headers, CONTENT_ENCODING), body


def _ask_usage(draft: _Draft, read: Read | None) -> None:
    """Ask for the usage, if the client did not. The answer must come plain then, since a chunk will be taken out of it."""
    if read and (read() or {}).get("stream") is not True:
        return
    try:
        body = with_usage(_plain_body(draft), read)
    except UndecodableBody:  # for the upstream to refuse, if it can't read it either
        return
    if body is not None:
        _put_body(draft, body)
        draft.headers = (*_without(draft.headers, ACCEPT_ENCODING), (b"Accept-Encoding", b"identity"))
        draft.asked_usage = True


def without_own(headers: HeaderFields) -> HeaderFields:
    """The headers without those that are meant for the proxy itself."""
    return tuple([pair for pair in headers if not _OWN[pair[0]]])


def without_credentials(headers: HeaderFields) -> HeaderFields:
    """The same, and without any header that carries a credential or names its owner."""
    kinds = _KINDS  # one pass: every call takes this way
    return tuple([pair if kinds[pair[0]] == _PLAIN else (pair[0], _without_key(pair[1])) for pair in headers if kinds[pair[0]] != _HIDDEN])


def _is_own(name: bytes) -> bool:
    return name.lower() in OWN_HEADERS or name.lower().startswith(OWN_PREFIX)


def _carries_credential(name: bytes) -> bool:
    text = name.decode("latin-1")
    return name.lower() in ACCOUNT_HEADERS or is_credential_header(text) or is_cookie_header(text)


LOWER = Memo[bytes, bytes](bytes.lower)
_OWN = Memo[bytes, bool](_is_own)


_PLAIN, _HIDDEN, _LIST = 0, 1, 2
"""A header that goes on as it is; one that does not; one of which some values may not."""


def _kind(name: bytes) -> int:
    if _is_own(name) or _carries_credential(name):
        return _HIDDEN
    return _LIST if name.lower() == SUBPROTOCOLS else _PLAIN


_KINDS = Memo[bytes, int](_kind)


def _without_key(subprotocols: bytes) -> bytes:
    return b", ".join(item for part in subprotocols.split(b",") if not (item := part.strip()).startswith(SUBPROTOCOL_KEY))


def _without(headers: HeaderFields, names: frozenset[bytes]) -> HeaderFields:
    return tuple([pair for pair in headers if LOWER[pair[0]] not in names])


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
