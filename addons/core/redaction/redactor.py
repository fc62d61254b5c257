"""The stored profile: whatever is kept of a call goes through here first, whole, before anything is cut off it.

All methods return the cleaned value and one note per masked place; without a finding the very same value comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from copy import copy
from hashlib import sha256
from urllib.parse import unquote_plus

from addons.core.call import Headers, RedactionNote
from addons.core.redaction.ahead import Ahead, LookAhead, Subject
from addons.core.redaction.bodies import BodyScanner, Located, replaced
from addons.core.redaction.cleantexts import PARAMETERS, SHAPES, CleanTexts
from addons.core.redaction.findings import Finding
from addons.core.redaction.known import Known, TextScanner
from addons.core.redaction.masking import MASK, mask, mask_credential, masked
from addons.core.redaction.memory import Memory
from addons.core.redaction.names import HeaderKind, header_kind, is_credential_parameter
from addons.core.redaction.streams import comes_in_pieces, find_across_events
from addons.core.redaction.sweep import Body

Notes = list[RedactionNote]

CREDENTIAL_HEADER = "credential-header"
"""The rule of what is masked for the name of its header alone."""

_COOKIE_ATTRIBUTES = {"path", "domain", "expires", "max-age", "secure", "httponly", "samesite", "partitioned", "priority"}
"""Attributes of Set-Cookie (RFC 6265 §5.2 and its successors); every other pair is a cookie."""

KNOWING_KEPT = 64
"""Clients whose credentials are made ready to be looked for; making them so takes as long as looking through a short body."""


class Redactor:
    """Masks credentials by name, by exact value (`exact`: all configured keys, the user's strings) and by the rules of `scanner`
    (None: those of the stored profile that come with the program). What was found in long bodies is remembered in `memory`."""

    def __init__(self, exact: Iterable[str] = (), scanner: TextScanner | None = None, memory: Memory | None = None) -> None:
        self._known = Known(exact, scanner)
        self._memory = Memory() if memory is None else memory
        self._identity = self._memory.serial()
        self._bodies = BodyScanner(self._known, self._memory, self._identity, fine=False)
        self._clean = CleanTexts(self._identity)
        self._knowing: OrderedDict[tuple[str, ...], Redactor] = OrderedDict()

    def knowing(self, exact: Iterable[str]) -> Redactor:
        """The same with further exact values, for one call: the credentials that the client itself sent, which an answer may echo."""
        values = tuple(sorted(exact))
        known = self._knowing.get(values)
        if known is None:
            known = self._knowing[values] = self._made_knowing(values)
            if len(self._knowing) > KNOWING_KEPT:
                self._knowing.popitem(last=False)
        return known

    def _made_knowing(self, values: tuple[str, ...]) -> Redactor:
        knowing = copy(self)
        knowing._knowing = OrderedDict()
        knowing._known = self._known.knowing(values)
        digest = sha256("\0".join(values).encode("utf-8", "surrogatepass")).digest()
        knowing._identity = self._identity + digest  # the next call with the same credential sends the same history
        knowing._clean = self._clean.under(knowing._identity)
        knowing._bodies = BodyScanner(knowing._known, self._memory, knowing._identity, fine=False)
        return knowing

    def look_ahead(self, texts: Iterable[str], headers: Iterable[Headers] = (), bodies: Iterable[Body] = ()) -> Ahead:
        """Look through all that one call has to be cleaned in one go."""
        return self.look_ahead_each([Subject(tuple(texts), tuple(headers), tuple(bodies))])[0]

    def look_ahead_each(self, subjects: Sequence[Subject]) -> list[Ahead]:
        """The same for some calls together."""
        return LookAhead(self._known, self._bodies, self._clean)(subjects)

    def headers(self, pairs: Headers, where: str, ahead: Ahead | None = None) -> tuple[Headers, Notes]:
        """Header pairs with the same names in the same order; `where` is the prefix of the notes (`request.header`)."""
        notes: Notes = []
        kept = []
        for pair in pairs:
            if ahead and pair in ahead.headers:
                kept.append(pair)
                continue
            name, value = pair
            clean, found = self._header(name, value, f"{where}.{name.lower()}")
            kept.append((name, clean))
            notes += found
        return (tuple(kept), notes) if notes else (pairs, notes)

    def url(self, path_with_query: str, where: str = "request.path") -> tuple[str, Notes]:
        """A path or URL: query parameters by name, values and shapes anywhere, also percent-encoded."""
        if self._clean.has(path_with_query, PARAMETERS):
            return path_with_query, []
        path, mark, query = path_with_query.partition("?")
        clean_path, notes = self._segments(path, "/", where)
        parts = []
        for part in query.split("&"):
            clean, found = self._parameter(part, where)
            parts.append(clean)
            notes += found
        joined, more = self.text(clean_path + mark + "&".join(parts), where)
        notes += more
        if not notes:
            self._clean.note(path_with_query, PARAMETERS)
        return joined, notes

    def text(self, text: str, where: str) -> tuple[str, Notes]:
        """Any text: a message's part, an error, a header's value. Never cut it before."""
        if not text or self._clean.has(text):
            return text, []
        data, notes = self.body(_utf8(text), None, where)
        if notes:
            return data.decode("utf-8", "surrogatepass"), notes
        self._clean.note(text)
        return text, notes

    def body(self, content: bytes, content_type: str | None, where: str, cut: bool = False) -> tuple[bytes, Notes]:
        """A content-decoded body; masked JSON stays JSON. `cut`: its end is missing, so a secret may be there in part."""
        notes: Notes = []
        if comes_in_pieces(content, content_type):  # first: of a cut secret the scan of the whole would take one piece for all of it
            pieces = find_across_events(content, lambda texts: self._bodies.find_each(texts, where))
            content, notes = _masked(content, pieces)
        content, more = _masked(content, self._bodies.find(content, content_type, where, cut))
        return content, notes + more

    def _find(self, data: bytes) -> list[Finding]:
        return self._known.find(data)

    def _header(self, name: str, value: str, where: str) -> tuple[str, Notes]:
        kind = header_kind(name)
        if kind is HeaderKind.PROTOCOL:
            return (value, []) if self._clean.has(value, SHAPES) else self._shapes_only(value, where)
        if kind is HeaderKind.TEXT:
            return self.url(value, where) if "?" in value and "://" in value else self.text(value, where)
        if kind is HeaderKind.COOKIE:
            clean = ";".join(_cookie(pair, name) for pair in value.split(";"))
        else:
            clean = mask_credential(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        return (clean, [_note(CREDENTIAL_HEADER, where)]) if clean != value else (value, [])

    def _shapes_only(self, value: str, where: str) -> tuple[str, Notes]:
        """Exact values and known shapes; what stands beside a secret-sounding word is left alone."""
        data = _utf8(value)
        findings = self._known.find_shapes(data)
        if findings:
            return masked(data, findings).decode("utf-8", "surrogatepass"), [_note(f.rule, where) for f in findings]
        self._clean.note(value, SHAPES)
        return value, []

    def _parameter(self, part: str, where: str) -> tuple[str, Notes]:
        name, equals, value = part.partition("=")
        if equals and value and not value.startswith("***") and is_credential_parameter(unquote_plus(name)):
            return f"{name}={mask(value.encode('utf-8', 'surrogatepass')).decode()}", [_note("credential-parameter", where)]
        return self._encoded(part, where)

    def _segments(self, text: str, separator: str, where: str) -> tuple[str, Notes]:
        notes: Notes = []
        parts = []
        for part in text.split(separator):
            clean, found = self._encoded(part, where)
            parts.append(clean)
            notes += found
        return separator.join(parts), notes

    def _encoded(self, part: str, where: str) -> tuple[str, Notes]:
        """A secret that shows only after percent-decoding takes the whole part with it."""
        if "%" not in part:
            return part, []
        findings = self._find(unquote_plus(part).encode("utf-8", "surrogatepass"))
        name, equals, _ = part.partition("=")
        clean = name + equals + MASK.decode() if equals else MASK.decode()
        return (clean, [_note(f.rule, where) for f in findings]) if findings else (part, [])


def _utf8(text: str) -> bytes:
    """As it is; lone surrogates too, which JSON's escapes allow."""
    return text.encode("utf-8", "surrogatepass")


def _cookie(pair: str, header: str) -> str:
    name, equals, value = pair.partition("=")
    attribute = header.lower() == "set-cookie" and name.strip().lower() in _COOKIE_ATTRIBUTES
    if attribute or not pair.strip() or (equals and not value.strip()) or value.startswith("***"):
        return pair
    return name + equals + mask(value.strip().encode("utf-8", "surrogatepass")).decode() if equals else MASK.decode()


def _masked(content: bytes, found: list[Located]) -> tuple[bytes, Notes]:
    notes = [_note(place.rule, place.where) for place in found if not place.piece]
    return replaced(content, found, _mask), notes


def _mask(place: Located) -> str:
    return mask(place.secret.encode("utf-8", "surrogateescape"), place.keep_tail).decode()


def _note(rule: str, where: str) -> RedactionNote:
    return RedactionNote(rule, where, "mask")
