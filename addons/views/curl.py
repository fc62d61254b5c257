"""The shell command that sends a stored request again. Pure, and safe to paste: whatever a client sent stays within quotes.

Credentials are not stored; in their place stands an environment variable named after the provider (`$OPENAI_API_KEY`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from addons.core.addressing import is_this_machine
from addons.core.call import Headers
from addons.core.redaction.names import is_credential_header, is_credential_parameter
from addons.core.resending import MASKED, is_sent

PROXY = '"${TURNPIKE_PROXY:-http://127.0.0.1:8080}"'
CA = '"${TURNPIKE_CA:-$HOME/.mitmproxy/mitmproxy-ca-cert.pem}"'
BODY_CHARACTERS = 20_000  # a longer body is sent from a file: shells and terminals have limits
COMMAND_CHARACTERS = 100_000  # Linux takes 131,072 bytes in one argument
BASE_URL = "/proxy/"  # proxy.prefix as it is unless configured otherwise: the client named the proxy itself
LINE_END = " \\\n  "

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2: what a header's name is made of
_SCHEME = re.compile(r"(?:Bearer|Token|Key|ApiKey) ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Curl:
    """`direct` goes where the client sent the call, `proxied` there through Turnpike, as a replay (None for a server on this machine).
    `file`: the name under which the body must be saved first, None where it is part of the command. `variable` holds the key."""

    direct: str
    proxied: str | None
    file: str | None
    variable: str | None


def curl_of(call: Mapping[str, Any], headers: Headers, content: bytes | None) -> Curl | None:
    """The commands; None for a WebSocket, for a call of which not even host and path were kept, for a path that would name another host,
    and for a command that no shell would take.
    `content` is None where the body is not shown on the page: it is then sent from a file."""
    host, path = call.get("host"), call.get("path")
    if call.get("status") == 101 or not host or not str(path).startswith("/") or any(name.lower() == "upgrade" for name, _ in headers):
        return None
    variable = variable_of(call.get("provider"))
    address = next((value for name, value in headers if name.lower() == "host"), None)
    own = is_this_machine(str(host))  # a base URL, or a server of the user's own
    url = f"{'http' if own else 'https'}://{address if own and address else host}"
    file = _file(call, content)
    options = list(_options(headers, variable, content, file))
    line = [f"curl -sS -g --path-as-is -X {quote(str(call.get('method') or 'POST'))} {quote(url)}{_path(str(path), variable)}", *options]
    if sum(map(len, line)) > COMMAND_CHARACTERS:
        return None
    used = any(f'"${variable}"' in item for item in line)
    proxy = (f"--proxy {PROXY} --cacert {CA}", f"-H {quote(f'X-Turnpike-Replay: {call["id"]}')}")
    through = LINE_END.join((*line, *(proxy[1:] if own else proxy))) if not own or str(path).startswith(BASE_URL) else None
    return Curl(LINE_END.join(line), through, file, variable if used else None)


def variable_of(provider: object) -> str:
    """The environment variable that SDKs read this provider's key from."""
    name = re.sub(r"[^A-Z0-9]+", "_", str(provider or "").upper()).strip("_")
    return f"{name}_API_KEY" if name else "API_KEY"


def quote(text: str) -> str:
    """One word of a POSIX shell. What a terminal would act on or not show (control characters, bidirectional marks) is written as
    escapes, in the `$'…'` form of bash, zsh and ksh."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    if character in "\n\t":
        return {"\n": "\\n", "\t": "\\t"}[character]
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "replace"))


def _options(headers: Headers, variable: str, content: bytes | None, file: str | None) -> Iterator[str]:
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            continue  # no header that curl could send: HTTP/2's own (`:path`), or nonsense
        if is_credential_header(name) and MASKED in value:
            scheme = _SCHEME.match(value)
            yield f'-H {quote(f"{name}: {scheme[0] if scheme else ''}")}"${variable}"'
        elif is_sent(name, value):
            yield f"-H {quote(f'{name}: {value}' if value else f'{name};')}"  # curl's way to send an empty one
    if file:
        yield f"--data-binary @{file}"
    elif content:
        yield f"--data-raw {quote(content.decode())}"


def _file(call: Mapping[str, Any], content: bytes | None) -> str | None:
    if content is None:
        return body_name(str(call["id"]), "request") if call.get("request_bytes") else None
    try:
        plain = len(content.decode()) <= BODY_CHARACTERS and b"\0" not in content
    except UnicodeDecodeError:
        plain = False
    return None if plain else body_name(str(call["id"]), "request")


def body_name(call_id: str, kind: str) -> str:
    """The file name of a downloaded body: plain characters only."""
    return f"{re.sub(r'[^0-9A-Za-z_-]', '_', call_id)}-{kind}.txt"


def _path(path: str, variable: str) -> str:
    """The path, a masked credential in its query exchanged for the variable."""
    bare, mark, query = path.partition("?")
    pieces = [quote(bare)]
    for number, item in enumerate(query.split("&") if mark else []):
        name, equals, value = item.partition("=")
        separator = "&" if number else "?"
        if equals and MASKED in value and is_credential_parameter(unquote_plus(name)):
            pieces.append(f'{quote(f"{separator}{name}=")}"${variable}"')
        else:
            pieces.append(quote(f"{separator}{item}"))
    return "".join(pieces)
