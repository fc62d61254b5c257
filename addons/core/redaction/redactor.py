"""The stored profile: whatever is kept of a call goes through here first, whole, before anything is cut off it.

All methods return the cleaned value and one note per masked place; without a finding the very same value comes back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from hashlib import sha256
from urllib.parse import unquote_plus

from addons.core.call import Headers, RedactionNote
from addons.core.redaction.bodies import BodyScanner, Located, replaced, wide_codec
from addons.core.redaction.findings import Finding
from addons.core.redaction.known import Known, TextScanner
from addons.core.redaction.masking import MASK, mask, mask_credential, masked
from addons.core.redaction.memory import Memory
from addons.core.redaction.names import HeaderKind, header_kind, is_credential_parameter
from addons.core.redaction.pieces import APART
from addons.core.redaction.streams import comes_in_pieces, find_across_events
from addons.core.redaction.sweep import Sweep

Notes = list[RedactionNote]

CREDENTIAL_HEADER = "credential-header"
"""The rule of what is masked for the name of its header alone."""

_COOKIE_ATTRIBUTES = {"path", "domain", "expires", "max-age", "secure", "httponly", "samesite", "partitioned", "priority"}
"""Attributes of Set-Cookie (RFC 6265 §5.2 and its successors); every other pair is a cookie."""

EVERYTHING, SHAPES, PARAMETERS = b"e", b"s", b"p"
"""What was looked for in a text: whatever there is, only what is a secret by its shape, or also a URL's parameters by their names."""

CLEAN_BYTES = 2 * 1024 * 1024
"""Of the memory of texts in which nothing was found, some 4000 of them: names, headers and messages come again with every call."""

MAX_KEPT_CHARACTERS = 200
"""Longer texts in which nothing was found are remembered by a digest, which takes longer to make."""

_TEXTS, _WORDS, _FIRST_BODY = range(3)
"""Owners of what is looked through in one go: texts, headers that hold words of the protocol, and each body."""

KNOWING_KEPT = 64
"""Clients whose credentials are made ready to be looked for; making them so takes as long as looking through a short body."""


class Ahead:
    """What `Redactor.look_ahead` has found to be clean, of one call."""

    __slots__ = ("_bodies", "texts", "words")

    def __init__(self) -> None:
        self.texts: set[str] = set()
        self.words: set[str] = set()  # without what is a secret by its shape
        self._bodies: list[bytes] = []

    def add_body(self, content: bytes) -> None:
        self._bodies.append(content)

    def has_body(self, content: bytes) -> bool:
        """Is this very object one of the clean bodies?"""
        return any(body is content for body in self._bodies)


class Redactor:
    """Masks credentials by name, by exact value (`exact`: all configured keys, the user's strings) and by the rules of `scanner`
    (None: those of the stored profile that come with the program). What was found in long bodies is remembered in `memory`."""

    def __init__(self, exact: Iterable[str] = (), scanner: TextScanner | None = None, memory: Memory | None = None) -> None:
        self._known = Known(exact, scanner)
        self._memory = Memory() if memory is None else memory
        self._identity = self._memory.serial()
        self._bodies = BodyScanner(self._known, self._memory, self._identity, fine=False)
        self._clean = Memory(CLEAN_BYTES, entry_bytes=500)
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
        knowing._bodies = BodyScanner(knowing._known, self._memory, knowing._identity, fine=False)
        return knowing

    def look_ahead(self, texts: Iterable[str], headers: Iterable[Headers] = (), bodies: Iterable[tuple[bytes, str | None]] = ()) -> Ahead:
        """Look through all that one call has to be cleaned in one go, which takes a fraction of the time that each by itself would. What
        is without a finding has no more to be done for it. `bodies` are whole, with their content types."""
        ahead, sweep = Ahead(), Sweep(self._known)
        swept = dict(enumerate(bodies, _FIRST_BODY))
        sweep.add_bodies(swept)
        words = {value for pairs in headers for name, value in pairs if header_kind(name) is HeaderKind.PROTOCOL}
        plain = {value for pairs in headers for name, value in pairs if header_kind(name) is HeaderKind.TEXT}
        standing: list[tuple[str, int]] = []
        alone: list[str] = []
        ahead.texts, ahead.words = {*texts, *plain}, words
        new_texts, new_words = self._not_clean(ahead.texts), self._not_clean(words, SHAPES)
        ahead.texts -= new_texts
        ahead.words -= new_words
        for text in new_texts:
            if (owner := sweep.add_text(_TEXTS, _utf8(text))) is None:
                alone.append(text)
            else:
                standing.append((text, owner))
        for value in new_words:
            sweep.add_plain(_WORDS, _utf8(value))
        sweep.run()
        for owner, (body, _) in swept.items():
            if owner not in sweep.dirty:
                ahead.add_body(body)
        for text, owner in standing:
            if owner in sweep.unsure:
                alone.append(text)
                continue
            ahead.texts.add(text)
            if owner == _TEXTS:  # others come again within their bodies
                self._note_clean(text)
        if new_words and not (_WORDS in sweep.dirty and self._known.find_shapes(APART.join([b"", *map(_utf8, new_words), b""]))):
            ahead.words |= new_words
            for value in new_words:
                self._note_clean(value, SHAPES)
        if alone:
            self._look_at_each(alone, ahead)
        return ahead

    def _look_at_each(self, texts: Sequence[str], ahead: Ahead) -> None:
        """By itself, what is not read as it stands or has something in it; still in one go."""
        waiting = [(text, data) for text in texts if not wide_codec(data := _utf8(text)) and not comes_in_pieces(data, None)]
        found = self._bodies.find_each([data for _, data in waiting], "") if waiting else ()
        for (text, _), places in zip(waiting, found, strict=True):
            if not places:
                ahead.texts.add(text)
                self._note_clean(text)

    def headers(self, pairs: Headers, where: str, ahead: Ahead | None = None) -> tuple[Headers, Notes]:
        """Header pairs with the same names in the same order; `where` is the prefix of the notes (`request.header`)."""
        notes: Notes = []
        kept = []
        for pair in pairs:
            name, value = pair
            if ahead and _is_known(header_kind(name), value, ahead):
                kept.append(pair)
                continue
            clean, found = self._header(name, value, f"{where}.{name.lower()}")
            kept.append((name, clean))
            notes += found
        return (tuple(kept), notes) if notes else (pairs, notes)

    def url(self, path_with_query: str, where: str = "request.path") -> tuple[str, Notes]:
        """A path or URL: query parameters by name, values and shapes anywhere, also percent-encoded."""
        if self._is_clean(path_with_query, PARAMETERS):
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
            self._note_clean(path_with_query, PARAMETERS)
        return joined, notes

    def text(self, text: str, where: str) -> tuple[str, Notes]:
        """Any text: a message's part, an error, a header's value. Never cut it before."""
        if not text or self._is_clean(text):
            return text, []
        data, notes = self.body(_utf8(text), None, where)
        if notes:
            return data.decode("utf-8", "surrogatepass"), notes
        self._note_clean(text)
        return text, notes

    def body(self, content: bytes, content_type: str | None, where: str, cut: bool = False) -> tuple[bytes, Notes]:
        """A content-decoded body; masked JSON stays JSON. `cut`: its end is missing, so a secret may be there in part."""
        notes: Notes = []
        if comes_in_pieces(content, content_type):  # first: of a cut secret the scan of the whole would take one piece for all of it
            pieces = find_across_events(content, lambda texts: self._bodies.find_each(texts, where))
            content, notes = _masked(content, pieces)
        content, more = _masked(content, self._bodies.find(content, content_type, where, cut))
        return content, notes + more

    def _is_clean(self, text: str, looked_for: bytes = EVERYTHING) -> bool:
        """Was nothing found in it before?"""
        key = (self._identity, looked_for, text) if len(text) <= MAX_KEPT_CHARACTERS else self._digest(text, looked_for)
        return self._clean.get(key) is not None

    def _not_clean(self, texts: AbstractSet[str], looked_for: bytes = EVERYTHING) -> set[str]:
        """Those of many of which it is not known, or not any more."""
        identity = self._identity
        missing = self._clean.missing({(identity, looked_for, text) for text in texts if len(text) <= MAX_KEPT_CHARACTERS})
        long = {text for text in texts if len(text) > MAX_KEPT_CHARACTERS and not self._is_clean(text, looked_for)}
        return {text for _, _, text in missing} | long

    def _note_clean(self, text: str, looked_for: bytes = EVERYTHING) -> None:
        key = (self._identity, looked_for, text) if len(text) <= MAX_KEPT_CHARACTERS else self._digest(text, looked_for)
        self._clean.put(key, ())

    def _digest(self, text: str, looked_for: bytes) -> bytes:
        return sha256(b"%d:%b%b%b" % (len(self._identity), self._identity, looked_for, _utf8(text))).digest()

    def _find(self, data: bytes) -> list[Finding]:
        return self._known.find(data)

    def _header(self, name: str, value: str, where: str) -> tuple[str, Notes]:
        kind = header_kind(name)
        if kind is HeaderKind.PROTOCOL:
            return (value, []) if self._is_clean(value, SHAPES) else self._shapes_only(value, where)
        if kind is HeaderKind.TEXT:
            return self.url(value, where) if _is_url(value) else self.text(value, where)
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
        self._note_clean(value, SHAPES)
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


def _is_url(value: str) -> bool:
    return "?" in value and "://" in value


def _is_known(kind: HeaderKind, value: str, ahead: Ahead) -> bool:
    """Is this header's value known to be clean?"""
    if kind is HeaderKind.PROTOCOL:
        return value in ahead.words
    return kind is HeaderKind.TEXT and value in ahead.texts and not _is_url(value)


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
