"""What waits, what for, and in which event it goes out."""

from __future__ import annotations

import secrets
from typing import Any

import orjson
import pytest

from addons.core.redaction import restore_lanes
from addons.core.redaction.restore_dialects import STREAMS
from addons.core.redaction.restore_frames import EventFrame, LineFrame
from addons.core.redaction.restore_lanes import Lanes, alone
from addons.core.redaction.restore_text import Restorable, Shape
from addons.core.redaction.restore_values import Mode

SHAPE = Shape("QVK{16}")
MADE = SHAPE.write(secrets.randbits(80))
PAIRS = Restorable({MADE: 'se"cret'}, SHAPE)


class Told:
    """Events in, events out."""

    def __init__(self, api: str, mode: Mode = "text_and_tools") -> None:
        self.frame = LineFrame() if api.startswith("ollama") else EventFrame()
        self.lanes = Lanes(STREAMS[api], self.frame, PAIRS, mode)

    def __call__(self, event: Any) -> list[Any]:
        raw = orjson.dumps(event) + b"\n"
        raw = raw if isinstance(self.frame, LineFrame) else b"event: e\ndata: " + raw + b"\n"
        return self.read(self.lanes.restore(raw))

    def close(self) -> list[Any]:
        return self.read(self.lanes.close())

    def read(self, content: bytes) -> list[Any]:
        frame = type(self.frame)()
        _, block = frame.feed(content)
        assert block == content
        events = [frame.payload(event) for event in frame.events(block)] if block else []
        return [orjson.loads(event[1]) if event[1].startswith(b"{") else event[1] for event in events if event]


def chunk(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], "usage": None}


def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, **more, "function": {"arguments": arguments}}]}


def test_a_beginning_goes_on_in_the_next_piece() -> None:
    """Or comes out in it unchanged."""
    told = Told("openai.chat")
    assert told(chunk(content="a " + MADE[:5])) == [chunk(content="a ")]
    assert told(chunk(content=MADE[5:9])) == [chunk(content="")]
    assert told(chunk(content=MADE[9:] + "b")) == [chunk(content='se"cretb')]
    assert told(chunk(content="Q")) == [chunk(content="")]
    assert told(chunk(content="uestion")) == [chunk(content="Question")]


def test_what_waits_goes_out_before_the_end() -> None:
    """In a copy of its event, without what a client would join or count twice."""
    told = Told("openai.chat")
    first = chunk(role="assistant", content="FAQ") | {"usage": {"prompt_tokens": 1}}
    first["choices"][0]["logprobs"] = {"content": [{"token": "FAQ"}]}
    assert told(first)[0]["choices"][0]["delta"] == {"role": "assistant", "content": "FA"}
    end = chunk(finish="stop")
    assert told(end) == [chunk(content="Q"), end]
    assert told.close() == []


def test_the_last_piece_waits_for_nothing() -> None:
    """Content that comes with its finish reason."""
    told = Told("openai.chat")
    last = chunk(content="FAQ", finish="stop")
    assert told(last) == [last]


def test_the_end_of_the_stream_brings_all() -> None:
    """`[DONE]`, or nothing more."""
    told = Told("openai.chat")
    told(chunk(content="FAQ"))
    assert told.close() == [chunk(content="Q")]
    told(chunk(content="FAQ"))
    assert told.read(told.lanes.restore(b"data: [DONE]\n\n")) == [chunk(content="Q"), b"[DONE]"]


def test_another_kind_of_text_ends_the_one_before() -> None:
    """Reasoning before content before calls, in the order of the stream; of another choice it does not."""
    told = Told("openai.chat")
    told(chunk(reasoning_content="Q"))
    assert told(chunk(1, content="x")) == [chunk(1, content="x")]
    assert told(chunk(content="Q")) == [chunk(reasoning_content="Q"), chunk(content="")]
    first = chunk(**call(0, "", id="i", type="function"))
    assert told(first) == [chunk(content="Q"), first]


def test_one_text_under_two_names_goes_out_together() -> None:
    """Else a client that takes the one or the other would take both."""
    told = Told("openai.chat")
    told(chunk(reasoning="Q", reasoning_content="Q"))
    assert told(chunk(content="x")) == [chunk(reasoning="Q", reasoning_content="Q"), chunk(content="x")]


def test_calls_grow_by_turns() -> None:
    """Each goes on where it was; in the arguments a secret is escaped for both JSON texts; names are not said twice."""
    told = Told("openai.chat")
    told(chunk(**call(0, '{"a":"' + MADE[:8], id="i", type="function")))
    told(chunk(**call(1, '{"b":"' + MADE[:3])))
    assert told(chunk(**call(0, MADE[8:]))) == [chunk(**call(0, 'se\\"cret'))]
    assert told(chunk(content="meanwhile")) == [chunk(content="meanwhile")]
    assert told(chunk(**call(1, MADE[3:] + '"}'))) == [chunk(**call(1, 'se\\"cret"}'))]
    told(chunk(**call(0, "Q", id="i", type="function")))
    assert told(chunk(finish="tool_calls"))[0] == chunk(**call(0, "Q", type="function"))


def test_without_tools_their_arguments_neither_wait_nor_change() -> None:
    """The mode `text`; but a call still ends the text before it."""
    told = Told("openai.chat", "text")
    told(chunk(content="Q"))
    arguments = chunk(**call(0, MADE + "Q"))
    assert told(arguments) == [chunk(content="Q"), arguments]


def test_a_block_ends_with_its_text_whole() -> None:
    """Anthropic: before content_block_stop, and thinking before its signature."""
    told = Told("anthropic.messages")

    def delta(index: int, **fields: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": fields}

    told(delta(0, type="thinking_delta", thinking="Q"))
    signature = delta(0, type="signature_delta", signature="Q")
    assert told(signature) == [delta(0, type="thinking_delta", thinking="Q"), signature]
    told(delta(1, type="text_delta", text="FAQ"))
    assert told({"type": "ping"}) == [{"type": "ping"}]
    stop = {"type": "content_block_stop", "index": 1}
    assert told(stop) == [delta(1, type="text_delta", text="Q"), stop]
    told(delta(2, type="input_json_delta", partial_json='{"a":"' + MADE[:4]))
    assert told(delta(2, type="input_json_delta", partial_json=MADE[4:]))[0]["delta"]["partial_json"] == 'se\\"cret'


def test_the_responses_dialect_says_all_again_with_the_secret() -> None:
    """Pieces, the finished text, the finished item, the last event."""
    told = Told("openai.responses")
    piece = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "item_id": "m",
        "sequence_number": 4,
        "logprobs": [1],
    }
    told(piece | {"delta": "FAQ"})
    done = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": MADE}
    assert told(done) == [piece | {"delta": "Q", "logprobs": []}, done | {"text": 'se"cret'}]
    item = {"type": "function_call", "arguments": f'{{"a":"{MADE}"}}'}
    restored = {"type": "function_call", "arguments": '{"a":"se\\"cret"}'}
    assert told({"type": "response.output_item.done", "output_index": 1, "item": item})[0]["item"] == restored
    assert told({"type": "response.completed", "response": {"output": [item]}})[0]["response"]["output"] == [restored]


def gemini(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0} | more], "responseId": "r"}


def test_a_gemini_candidate_ends_its_texts_by_turns() -> None:
    """Thought, text, a call with its arguments in pieces; a signature is not copied."""
    told = Told("gemini.generate")
    told(gemini({"text": "Q", "thought": True, "thoughtSignature": "s"}))
    assert told(gemini({"text": "FAQ"})) == [gemini({"text": "Q", "thought": True}), gemini({"text": "FA"})]
    piece = {"jsonPath": "$.a", "stringValue": MADE[:6], "willContinue": True}
    begun = gemini({"functionCall": {"name": "f", "partialArgs": [piece], "willContinue": True}})
    assert told(begun)[0] == gemini({"text": "Q"})
    last = piece | {"stringValue": MADE[6:] + "Q", "willContinue": False}
    out = told(gemini({"functionCall": {"partialArgs": [last]}}))
    assert out == [gemini({"functionCall": {"partialArgs": [last | {"stringValue": 'se"cretQ'}]}})]
    told(gemini({"text": "Q"}))
    assert told(gemini({"text": "x"}, {"text": "Q"}, {"functionCall": {"name": "f", "args": {"a": MADE}}}, finishReason="STOP")) == [
        gemini({"text": "Qx"}, {"text": "Q"}, {"functionCall": {"name": "f", "args": {"a": 'se"cret'}}}, finishReason="STOP")
    ]


def test_ollama_has_its_texts_side_by_side() -> None:
    """Before `done`, and with the role that each line has."""
    told = Told("ollama.chat")
    line = {"model": "m", "message": {"role": "assistant", "content": "Q"}, "done": False}
    told(line)
    end = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True}
    assert told(end) == [line, end]
    told = Told("ollama.generate")
    told({"response": "Q", "thinking": "x", "done": False})
    assert told.close() == [{"response": "Q", "thinking": "", "done": False}]


def test_no_more_waits_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many lanes at once, and events too long to be copied: their ends go out as they are."""
    monkeypatch.setattr(restore_lanes, "MAX_LANES", 3)
    told = Told("openai.chat")
    for index in range(9):
        told(chunk(index, content="Q"))
    assert len(told.lanes.held) == 3
    monkeypatch.setattr(restore_lanes, "MAX_PATTERN_BYTES", 100)
    assert told(chunk(20, content="x" * 100 + "Q")) == [chunk(20, content="x" * 100 + "Q")]


def test_a_copy_says_nothing_else() -> None:
    """Siblings that are texts are emptied, usage is not counted twice, only the elements on the way are kept."""
    event = {"a": "x", "b": "y", "usage": {"n": 1}, "logprobs": [1], "choices": [{"index": 0, "d": "e"}, {"index": 1, "d": "f", "id": "g"}]}
    texts = {("a",): "new", ("choices", 1, "d"): "newer"}
    assert alone(event, texts, {("b",)}) == {
        "a": "new",
        "b": "",
        "usage": None,
        "logprobs": [],
        "choices": [{"index": 1, "d": "newer"}],
    }
