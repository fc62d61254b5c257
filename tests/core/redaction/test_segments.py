"""Bodies are cut where JSON allows it, read in groups, and what is found is handed back to each piece."""

from __future__ import annotations

from addons.core.redaction.memory import Trace
from addons.core.redaction.segments import MIN_REMEMBERED_BYTES, SEGMENT_BYTES, Segment, divided, divided_each, grouped, hand_out, runs

STREAM = b"".join(b'event: x\ndata: {"n":%d}\n\n' % n for n in range(3))


def segments_of(body: bytes) -> list[Segment]:
    return [Segment(part, start, end, key) for part, start, end, key in divided(body, None).spans()]


def test_json_is_cut_before_objects() -> None:
    """The segments of a history are the same when something is added to it; short bodies are not remembered."""
    text = b",".join(b'{"content":"%d %b"}' % (n, b"a" * 500) for n in range(40))
    first, second = divided(b"[" + text + b"]", None).spans(), divided(b"[" + text + b',{"content":"b"}]', None).spans()
    keys, later = ([span[3] for span in spans] for spans in (first, second))
    assert len(keys) > 40 * 500 // SEGMENT_BYTES // 2 and keys[:-1] == later[: len(keys) - 1]
    assert divided(b"[" + b'"a",' * (MIN_REMEMBERED_BYTES // 8) + b"1]", None).spans()[0][3] is None


def test_an_event_stream_is_read_in_two_groups() -> None:
    """Its JSON and its other lines; that of the last one comes last, and what is to be read alone stays alone."""
    segments = segments_of(STREAM)
    groups = grouped(list(runs(segments)), frozenset())
    assert [[run[0].part.kind for run in group] for group in groups] == [["text"] * 3, ["json"] * 3]
    turned = grouped(list(runs(segments_of(STREAM + b": end"))), frozenset())
    assert [group[0][0].part.kind for group in turned] == ["json", "text"]
    assert [len(group) for group in grouped(list(runs(segments)), frozenset([segments[1].part]))] == [3, 1, 2]


def test_traces_are_handed_out() -> None:
    """To the segment in which they begin, by its own offsets; a byte stands between two runs."""
    group = grouped(list(runs(segments_of(STREAM))), frozenset())[1]
    text = b"\n".join(STREAM[run[0].start : run[-1].end] for run in group)
    traces = [Trace(at, at + 1, "r", True, 1, False) for at in (text.index(b"0"), text.index(b"2"))]
    hand_out(traces, group)
    found = [[STREAM[run[0].start + trace.start : run[0].start + trace.end] for trace in run[0].traces or ()] for run in group]
    assert found == [[b"0"], [], [b"2"]]


def test_several_texts_are_kept_apart() -> None:
    """Each by what it is made of."""
    content = divided_each([b'{"a":1}', b"text", b"", STREAM])
    assert [content.body[part.start : part.end] for part in content.parts[:2]] == [b'{"a":1}', b"text"]
    assert [part.kind for part in content.parts[2:]].count("json") == 3
