"""Find secrets in whole bodies: every decoded string of JSON (JSON within strings too), texts, forms, and the fields of multipart.

parts ── what is JSON, text, a form ──► segments ── known from before? (memory)
                                          └─ gathering: strings, decoded, joined ──► scanner ──► back to the bytes as written

`BodyScanner.find` gives the places, `replaced` puts something there; without a finding nothing is made anew.
"""

from __future__ import annotations

import codecs
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import accumulate, chain, groupby
from operator import attrgetter

from addons.core.redaction.gathering import Finder, Gathering
from addons.core.redaction.known import Known, NoRules
from addons.core.redaction.located import Located, apart, locate, replaced
from addons.core.redaction.memory import Memory, Traces
from addons.core.redaction.parts import Part
from addons.core.redaction.paths import paths
from addons.core.redaction.segments import Divided, Run, Segment, divided, divided_each, grouped, hand_out, runs

__all__ = ["BodyScanner", "Divided", "Finder", "Located", "divided", "replaced"]

_by_start = attrgetter("start")

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class BodyScanner:
    """`memory` is shared by those that give the same `identity`, which stands for all that their findings depend on (rules, exact
    strings); without one nobody else's findings are taken over. `fine`: does `where` tell the place within JSON?"""

    def __init__(self, scanner: Finder, memory: Memory | None = None, identity: bytes | None = None, fine: bool = True) -> None:
        self._scanner = scanner
        self._memory = memory
        self._prefix = sha256(memory.serial() if memory and identity is None else identity or b"").digest()[:16]
        self._fine = fine

    def find(self, body: bytes, content_type: str | None, where: str, cut: bool = False) -> list[Located]:
        """All secrets of a content-decoded body, in order and without overlap. `cut`: its end is missing, so that a secret may stand
        there in part. Does not raise, whatever the bytes are."""
        return self.find_in(divided(body, content_type), where, cut)

    def find_in(self, content: Divided, where: str, cut: bool = False) -> list[Located]:
        """The same, of a body that is divided already."""
        found = self._find_narrow(content, where, cut)
        if codec := wide_codec(content.body):  # or bytes that only look so: both ways then
            found += apart(self._find_wide(content.body, codec, content.content_type, where, cut), found)
            found.sort(key=_by_start)
        return found

    def find_each(self, texts: Sequence[bytes], where: str) -> list[list[Located]]:
        """Of each of these texts, all in one go: what `find` would give."""
        found: list[list[Located]] = [[] for _ in texts]
        ends = list(accumulate(map(len, texts)))
        for place in self._find_narrow(divided_each(texts), where, False):
            number = bisect_right(ends, place.start)
            base = ends[number] - len(texts[number])
            found[number].append(place._replace(start=place.start - base, end=place.end - base))
        return found

    def unseen(self, content: Divided) -> list[Run] | None:
        """What of a body was not seen before; None where something is known to be in it."""
        segments = self._segments(content)
        return None if any(segment.traces for segment in segments) else list(runs(segments))

    def note_clean(self, unseen: Iterable[Run]) -> None:
        """That nothing was found in these."""
        if self._memory is not None:
            for segment in chain.from_iterable(unseen):
                if segment.key:
                    self._memory.put(segment.key, ())

    def for_exact(self, secrets: Sequence[str], fine: bool = True) -> BodyScanner:
        """One that finds only these values, and remembers where it has seen none or which."""
        values = "\0".join(sorted(secrets)).encode("utf-8", "surrogatepass")
        return BodyScanner(Known(secrets, NoRules()), self._memory, b"exact:" + sha256(values).digest(), fine)

    def _find_narrow(self, content: Divided, where: str, cut: bool) -> list[Located]:
        body, segments = content.body, self._segments(content)
        if cut and segments:
            segments[-1].key = segments[-1].traces = None  # it may have been whole when it was seen
        if any(segment.traces is None for segment in segments):
            segments = self._scanned(body, segments, cut)
        found = [locate(body, segment.start, trace, where) for segment in segments if segment.traces for trace in segment.traces]
        return self._with_paths(body, segments, found) if found and self._fine else found

    def _find_wide(self, body: bytes, codec: str, content_type: str | None, where: str, cut: bool) -> list[Located]:
        """UTF-16 and UTF-32: found in UTF-8, and counted back."""
        text = body.decode(codec, "replace")
        narrow = text.encode("utf-8", "replace")
        found = self._find_narrow(divided(narrow, content_type), where, cut)
        wide = _wide_offsets(narrow, codec, [offset for place in found for offset in (place.start, place.end)])
        ends = [min(len(body), offset) for offset in wide]
        return [place._replace(start=start, end=end, charset=codec) for place, start, end in zip(found, ends[::2], ends[1::2], strict=True)]

    def _segments(self, content: Divided) -> list[Segment]:
        if self._memory is None:
            return [Segment(part, part.start, part.end) for part in content.parts]
        segments = []
        for part, start, end, digest in content.spans():
            key = self._prefix + digest if digest else None
            segments.append(Segment(part, start, end, key, self._memory.get(key) if key else None))
        return segments

    def _scanned(self, body: bytes, segments: list[Segment], cut: bool, broken: frozenset[Part] = frozenset()) -> list[Segment]:
        """The segments with the traces of all of them; a part that is no JSON after all (`broken`) has become one."""
        gathering = Gathering(self._scanner)
        waiting = grouped(list(runs(segments)), broken)[::-1]
        groups: list[list[Run]] = []
        bad: set[Part] = set()
        while waiting:
            group = waiting.pop()
            part, texts = group[0][0].part, [body[run[0].start : run[-1].end] for run in group]
            if part in broken:
                gathering.add_broken(len(groups), texts[0])
            elif part in bad or not gathering.add(len(groups), part.kind, *texts, last=group[-1][-1].end == group[-1][-1].part.end):
                if len(group) > 1:  # some of them are no JSON, but which?
                    waiting += [group[len(group) // 2 :], group[: len(group) // 2]]
                else:
                    bad.add(part)
                continue
            groups.append(group)
        if bad:
            whole = [Segment(part, part.start, part.end) for part in bad]
            kept = [segment for segment in segments if segment.part not in bad]
            return self._scanned(body, sorted([*kept, *whole], key=_by_start), cut, broken | bad)
        self._take(gathering.traces(cut), groups)
        return segments

    def _take(self, traces: Mapping[int, Traces], groups: Sequence[list[Run]]) -> None:
        for owner, group in enumerate(groups):
            hand_out(traces.get(owner, ()), group)
        if self._memory is not None:
            for segment in (segment for group in groups for run in group for segment in run if segment.key):
                self._memory.put(segment.key or b"", segment.traces or ())

    def _with_paths(self, body: bytes, segments: Sequence[Segment], found: Sequence[Located]) -> list[Located]:
        """With the place in JSON in their `where`."""
        placed: list[Located] = []
        at = 0
        for part, group in groupby(segments, key=attrgetter("part")):
            own = list(group)
            count = sum(len(segment.traces) for segment in own if segment.traces)
            inside = found[at : at + count]
            at += count
            if part.kind == "json" and inside:
                steps = self._paths(body, part, own, inside)
                inside = [place._replace(where=place.where + step) for place, step in zip(inside, steps, strict=True)]
            placed += inside
        return placed

    def _paths(self, body: bytes, part: Part, segments: Sequence[Segment], inside: Sequence[Located]) -> Sequence[str]:
        """Where these stand is told by all that is before them: the same segments, the same paths."""
        key = self._paths_key(segments)
        known = self._memory.get_paths(key) if self._memory and key else None
        if known is not None:
            return known
        steps = paths(body[part.start : part.end], [(place.start - part.start, place.end - part.start) for place in inside])
        if self._memory and key:
            self._memory.put_paths(key, steps)
        return steps

    def _paths_key(self, segments: Sequence[Segment]) -> bytes | None:
        last = max(number for number, segment in enumerate(segments) if segment.traces)
        keys = [segment.key for segment in segments[: last + 1]]
        return sha256(b"".join(key for key in keys if key)).digest() if all(keys) else None


def _wide_offsets(narrow: bytes, codec: str, offsets: Sequence[int]) -> list[int]:
    """Offsets in UTF-8, in order, as offsets in another encoding of the same text; one within a character counts as its beginning."""
    found, at, wide = [], 0, 0
    for offset in offsets:
        if offset > at:  # each stretch is looked at once
            text = narrow[at:offset].decode("utf-8", "ignore")
            wide += len(text.encode(codec))
            at += len(text.encode())
        found.append(wide)
    return found


def wide_codec(body: bytes) -> str | None:
    """By its mark, or by the NULs of JSON in UTF-16 (RFC 4627 §3; RFC 8259 §8.1 leaves only UTF-8, which not all know)."""
    head = body[:4]
    if b"\0" not in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return None
    for mark, codec in _BOMS:
        if head.startswith(mark):
            return codec
    if len(head) == 4 and head[1] == head[3] == 0 and head[0] and head[2]:
        return "utf-16-le"
    if len(head) == 4 and head[0] == head[2] == 0 and head[1] and head[3]:
        return "utf-16-be"
    return None
