"""What is sent of a request where an upstream is to see no secrets: pure, one attempt at a time.

Policy (mode) ──► clean(request, …) ──► Cleaned: the request as it may be sent, notes, and what its answer is restored with
                      ├─ Blocked: a secret stands in it, and the policy is to send none
                      └─ Unreadable: what can't be read can't be cleaned, so it is not sent
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

from addons.core.attempt import HeaderFields, Request, content_encoding
from addons.core.call import RedactionNote
from addons.core.encodings import UndecodableBody, decode_whole
from addons.core.redaction.bodies import BodyScanner, Divided, divided
from addons.core.redaction.located import Located, apart, replaced
from addons.core.redaction.masking import mask
from addons.core.redaction.placeholders import PlaceholderMap
from addons.core.redaction.restore_text import Restorable

Mode = Literal["off", "mask", "block", "placeholder"]
Restore = Literal["text_and_tools", "text", "off"]

WHERE = "request.body"
MAX_REPEATED = 300
"""Secrets of one request that are looked for beside where a rule found them. Most need it not, as their own shape tells them anywhere."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done with secrets on their way to an upstream, and where they come back in the answer."""

    mode: Mode = "off"
    restore: Restore = "text_and_tools"


class Blocked(Exception):
    """A secret stands in the request; `rule` and `where` may be told, the secret may not."""

    def __init__(self, rule: str, where: str, more: int = 0) -> None:
        others = f" (and {more} more)" if more else ""
        super().__init__(f"a secret ({rule}) stands in {where}{others}, and redaction.outgoing is set to block here")
        self.rule, self.where = rule, where


class Unreadable(Exception):
    """The body can't be read whole, so that nobody knows what is in it."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """`restorable` is None where nothing has to come back; `secrets` must not be stored, wherever an answer puts them."""

    request: Request
    notes: tuple[RedactionNote, ...] = ()
    restorable: Restorable | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


def plain_body(request: Request) -> bytes:
    """The body without its Content-Encoding. Raises Unreadable."""
    if request.body is None:
        raise Unreadable("the body is too long to be held, so it can't be cleaned (proxy.max_held_body)")
    try:
        return decode_whole(request.body, content_encoding(request.headers))
    except UndecodableBody as error:
        raise Unreadable(f"the body can't be read, so it can't be cleaned: {error}") from error


def clean(request: Request, policy: Policy, scanner: BodyScanner, placeholders: Callable[[], PlaceholderMap]) -> Cleaned:
    """The request as an upstream of this policy may see it; the very same object where nothing is found. Raises Blocked, Unreadable."""
    if policy.mode == "off":
        return Cleaned(request)
    if _header(request.headers, b"upgrade") is not None:  # a WebSocket, or whatever an upstream agrees to
        raise Unreadable("what follows an upgraded connection can't be cleaned; send the call as a POST")
    if request.body == b"":
        return Cleaned(request)
    body = plain_body(request)
    content = divided(body, _header(request.headers, b"content-type"))
    found = scanner.find_in(content, WHERE)
    if policy.mode == "placeholder":
        return _swapped(request, content, found, scanner, placeholders(), restore=policy.restore != "off")
    found = _with_repeats(found, (), content, scanner)
    if not found:
        return Cleaned(request)
    if policy.mode == "block":
        raise Blocked(found[0].rule, found[0].where, len(found) - 1)
    return Cleaned(_with_body(request, replaced(body, found, _masked)), _notes(found, "mask"), secrets=_secrets(found))


def _swapped(
    request: Request, content: Divided, found: Sequence[Located], scanner: BodyScanner, pairs: PlaceholderMap, *, restore: bool
) -> Cleaned:
    """What this conversation has swapped before is swapped wherever it stands: an answer may have put it where no rule finds it again."""
    known = pairs.secrets()
    found = _with_repeats(found, known, content, scanner)
    found = [place for place in found if pairs.secret(place.secret) is None]  # our own placeholders, beside a word like `password`
    restorable = pairs.snapshot() if known and restore else None
    if not found:
        body = content.body
        return Cleaned(request if restorable is None else _with_body(request, body, answer_plain=True), (), restorable, known)
    body = replaced(content.body, found, lambda place: pairs.placeholder(place.secret, place.rule))
    restorable = pairs.snapshot() if restore else None
    sent = _with_body(request, body, answer_plain=restorable is not None)
    return Cleaned(sent, _notes(found, "placeholder"), restorable, pairs.secrets())


def _with_repeats(found: Sequence[Located], known: Sequence[str], content: Divided, scanner: BodyScanner) -> list[Located]:
    """With every other place of these secrets: one that a rule finds beside a word stands elsewhere without it."""
    secrets = list(dict.fromkeys([*_secrets(found), *known]))[:MAX_REPEATED]
    if not secrets:
        return list(found)
    if not apart(scanner.for_exact(secrets, fine=False).find_in(content, WHERE), found):
        return list(found)
    again = scanner.for_exact(secrets).find_in(content, WHERE)  # where in JSON they stand, which takes longer to tell
    return sorted([*found, *apart(again, found)], key=_by_start)


_by_start = attrgetter("start")


def _secrets(found: Sequence[Located]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(place.secret for place in found))


def _notes(found: Sequence[Located], action: Literal["mask", "placeholder"]) -> tuple[RedactionNote, ...]:
    return tuple(dict.fromkeys(RedactionNote(place.rule, place.where, action) for place in found))


def _masked(place: Located) -> str:
    return mask(place.secret.encode("utf-8", "surrogatepass"), place.keep_tail).decode()


def _header(headers: HeaderFields, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), None)


def _with_body(request: Request, body: bytes, *, answer_plain: bool = False) -> Request:
    """Another body, sent plain; and its answer asked for plain, if it will be changed."""
    dropped = {b"content-encoding", *({b"accept-encoding"} if answer_plain else ())}
    headers = tuple(pair for pair in request.headers if pair[0].lower() not in dropped)
    if answer_plain:
        headers = (*headers, (b"Accept-Encoding", b"identity"))
    return request._replace(headers=headers, body=body)
