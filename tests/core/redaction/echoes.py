"""Answers of a model that says again what it was sent, in every dialect that is restored: whole ones, and streams cut into deltas."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from addons.core.call import AnswerReading
from addons.core.dialects import answer_reader

Cut = Callable[[str], list[str]]
"""A text → the pieces of it that come as deltas."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What the model says; a dialect leaves out what it does not have."""

    reasoning: str
    text: str
    calls: tuple[Json, ...]

    def mapped(self, change: Callable[[str], str]) -> Said:
        """The same with every string changed."""
        return Said(change(self.reasoning), change(self.text), tuple(_mapped(call, change) for call in self.calls))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {change(key): _mapped(child, change) for key, child in value.items()}
    if isinstance(value, list):
        return [_mapped(child, change) for child in value]
    return change(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Answer:
    """An answer as it comes: pieces that a server writes one by one."""

    api: str
    content_type: str
    events: tuple[bytes, ...]

    @property
    def content(self) -> bytes:
        return b"".join(self.events)


def read(api: str, content_type: str, content: bytes) -> AnswerReading:
    """As the project's own reader sees it, which is how a client sees it."""
    reader = answer_reader(api, content_type, 200)
    reader.feed(content)
    return reader.finish()


def _arguments(call: Json) -> str:
    return json.dumps(call, ensure_ascii=False)


def _sse(*values: Any, named: bool = False, end: str = "\n") -> Iterator[bytes]:
    for value in values:
        name = f"event: {value['type']}{end}" if named else ""
        yield name.encode() + b"data: " + orjson.dumps(value) + end.encode() * 2


def chat(said: Said, cut: Cut) -> Answer:
    """Reasoning as DeepSeek has it, two parallel calls, padding, usage, `[DONE]`."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1.0, "model": "gpt-4o"}

    def chunk(delta: Json, finish: str | None = None) -> Json:
        return head | {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], "obfuscation": "xQ"}

    values = [chunk({"role": "assistant", "content": ""})]
    values += [chunk({"reasoning_content": piece, "content": None}) for piece in cut(said.reasoning)]
    values += [chunk({"content": piece}) for piece in cut(said.text)]
    for index, call in enumerate(said.calls):
        first = {"id": f"call_{index}", "type": "function", "function": {"name": "f", "arguments": ""}}
        values.append(chunk({"tool_calls": [{"index": index} | first]}))
        values += [chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in cut(_arguments(call))]
    values += [chunk({}, "tool_calls"), head | {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}}]
    return Answer("openai.chat", "text/event-stream", (*_sse(*values), b"data: [DONE]\n\n"))


def chat_whole(said: Said) -> Answer:
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": _arguments(call)}}
        for n, call in enumerate(said.calls)
    ]
    message = {"role": "assistant", "reasoning_content": said.reasoning, "content": said.text, "tool_calls": calls}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 7, "completion_tokens": 9}
    return _whole("openai.chat", {"id": "chatcmpl-1", "model": "gpt-4o", "choices": [choice], "usage": usage})


def completions(said: Said, cut: Cut) -> Answer:
    """Two choices that grow by turns."""
    head = {"id": "cmpl-1", "object": "text_completion", "model": "m"}
    choices = [{"index": n % 2, "text": piece, "logprobs": None, "finish_reason": None} for piece in cut(said.text) for n in range(2)]
    ends = [{"index": n, "text": "", "logprobs": None, "finish_reason": "stop"} for n in range(2)]
    values = [head | {"choices": [choice]} for choice in choices + ends]
    return Answer("openai.completions", "text/event-stream", (*_sse(*values, end="\r\n"), b"data: [DONE]\r\n\r\n"))


def completions_whole(said: Said) -> Answer:
    choices = [{"index": n, "text": said.text, "logprobs": None, "finish_reason": "stop"} for n in range(2)]
    return _whole("openai.completions", {"id": "cmpl-1", "model": "m", "choices": choices})


def _output(said: Said) -> list[Json]:
    calls = [
        {
            "id": f"fc_{n}",
            "type": "function_call",
            "call_id": f"call_{n}",
            "name": "f",
            "arguments": _arguments(call),
            "status": "completed",
        }
        for n, call in enumerate(said.calls)
    ]
    content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": said.text}]
    reasoning = {
        "id": "rs_1",
        "type": "reasoning",
        "encrypted_content": "QVKQ",
        "summary": [{"type": "summary_text", "text": said.reasoning}],
    }
    return [reasoning, {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}, *calls]


def _response(said: Said, status: str, output: list[Json]) -> Json:
    done = {"usage": {"input_tokens": 7, "output_tokens": 9}} if status == "completed" else {}
    return {"id": "resp_1", "model": "gpt-5", "status": status, "instructions": said.text, "output": output, "metadata": {}} | done


_PLACES: dict[str, Json] = {"reasoning": {"summary_index": 0}, "message": {"content_index": 0, "logprobs": []}}
_KINDS = {"reasoning": "reasoning_summary_text", "message": "output_text", "function_call": "function_call_arguments"}


def responses(said: Said, cut: Cut, aggregates: bool = True) -> Answer:
    """All is said three times; without `aggregates` a reader that goes by the finished items has only the deltas."""
    values: list[Json] = [{"type": "response.created", "response": _response(said, "in_progress", [])}]
    for index, item in enumerate(_output(said)):
        where: Json = {"item_id": item["id"], "output_index": index}
        kind = _KINDS[item["type"]]
        full = {"reasoning": said.reasoning, "message": said.text}.get(item["type"]) or item.get("arguments", "")
        where |= _PLACES.get(item["type"], {})
        begun = {key: value for key, value in item.items() if key not in ("summary", "content", "encrypted_content")} | {
            "status": "in_progress"
        }
        begun |= {"arguments": ""} if "arguments" in item else {}
        values.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        values += [{"type": f"response.{kind}.delta", "delta": piece} | where for piece in cut(full)]
        name = "arguments" if "arguments" in kind else "text"
        values.append({"type": f"response.{kind}.done", name: full} | where)
        if aggregates:
            values.append({"type": "response.output_item.done", "output_index": index, "item": item})
    if aggregates:
        values.append({"type": "response.completed", "response": _response(said, "completed", _output(said))})
    values = [value | {"sequence_number": number} for number, value in enumerate(values)]
    return Answer("openai.responses", "text/event-stream", tuple(_sse(*values, named=True)))


def responses_whole(said: Said) -> Answer:
    return _whole("openai.responses", _response(said, "completed", _output(said)))


def _message(said: Said, content: list[Json]) -> Json:
    usage = {"input_tokens": 7, "output_tokens": 9}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": content,
        "stop_reason": None,
        "usage": usage,
    }


def messages(said: Said, cut: Cut) -> Answer:
    """Signed thinking, text, two tool uses."""
    blocks: list[tuple[Json, str, str, str]] = [
        ({"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking", said.reasoning),
        ({"type": "text", "text": ""}, "text_delta", "text", said.text),
    ]
    for n, call in enumerate(said.calls):
        use = {"type": "tool_use", "id": f"toolu_{n}", "name": "f", "input": {}}
        blocks.append((use, "input_json_delta", "partial_json", _arguments(call)))
    values: list[Json] = [{"type": "message_start", "message": _message(said, [])}]
    for index, (block, kind, name, full) in enumerate(blocks):
        values += [{"type": "content_block_start", "index": index, "content_block": block}, {"type": "ping"}]
        values += [{"type": "content_block_delta", "index": index, "delta": {"type": kind, name: piece}} for piece in cut(full)]
        if name == "thinking":
            values.append({"type": "content_block_delta", "index": index, "delta": {"type": "signature_delta", "signature": "QVKQVKQ"}})
        values.append({"type": "content_block_stop", "index": index})
    values.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}})
    return Answer("anthropic.messages", "text/event-stream", tuple(_sse(*values, {"type": "message_stop"}, named=True)))


def messages_whole(said: Said) -> Answer:
    content: list[Json] = [{"type": "thinking", "thinking": said.reasoning, "signature": "QVKQVKQ"}, {"type": "text", "text": said.text}]
    content += [{"type": "tool_use", "id": f"toolu_{n}", "name": "f", "input": call} for n, call in enumerate(said.calls)]
    return _whole("anthropic.messages", _message(said, content) | {"stop_reason": "tool_use"})


def _candidate(parts: list[Json], finish: Json | None = None) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0} | (finish or {})
    details = [{"modality": "TEXT", "tokenCount": 7}]
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 9, "promptTokensDetails": details}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini", "responseId": "r"}


def _gemini_calls(said: Said) -> list[Json]:
    return [{"functionCall": {"name": "f", "args": call}, "thoughtSignature": "QVKQ"} for call in said.calls]


def _gemini(said: Said, cut: Cut) -> list[Json]:
    values = [_candidate([{"text": piece, "thought": True}]) for piece in cut(said.reasoning)]
    values += [_candidate([{"text": piece}]) for piece in cut(said.text)]
    values += [_candidate([call]) for call in _gemini_calls(said)]
    return [*values, _candidate([{"text": ""}], {"finishReason": "STOP"})]


def gemini(said: Said, cut: Cut) -> Answer:
    return Answer("gemini.generate", "text/event-stream", tuple(_sse(*_gemini(said, cut), end="\r\n")))


def gemini_array(said: Said, cut: Cut) -> Answer:
    """Without `alt=sse`."""
    texts = [orjson.dumps(value, option=orjson.OPT_INDENT_2) for value in _gemini(said, cut)]
    return Answer("gemini.generate", "application/json", (b"[" + texts[0], *(b",\r\n" + text for text in texts[1:]), b"]\n"))


def gemini_assist(said: Said, cut: Cut) -> Answer:
    """As Code Assist wraps it for gemini-cli."""
    values = [{"response": value, "traceId": "t"} for value in _gemini(said, cut)]
    return Answer("gemini.generate", "text/event-stream", tuple(_sse(*values)))


def gemini_whole(said: Said) -> Answer:
    parts: list[Json] = [{"text": said.reasoning, "thought": True}, {"text": said.text}, *_gemini_calls(said)]
    return _whole("gemini.generate", _candidate(parts, {"finishReason": "STOP"}))


def _ollama_calls(said: Said) -> list[Json]:
    return [{"function": {"name": "f", "arguments": call}} for call in said.calls]


_OLLAMA_END = {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 9}


def _lines(*values: Json) -> tuple[bytes, ...]:
    head = {"model": "llama", "created_at": "2026-01-01T00:00:00Z"}
    return tuple(orjson.dumps(head | value) + b"\n" for value in values)


def ollama_chat(said: Said, cut: Cut) -> Answer:
    def line(**message: Any) -> Json:
        return {"message": {"role": "assistant", "content": ""} | message, "done": False}

    values = [line(thinking=piece) for piece in cut(said.reasoning)] + [line(content=piece) for piece in cut(said.text)]
    values.append(line(tool_calls=_ollama_calls(said)))
    return Answer("ollama.chat", "application/x-ndjson", _lines(*values, line() | _OLLAMA_END))


def ollama_chat_whole(said: Said) -> Answer:
    message = {"role": "assistant", "thinking": said.reasoning, "content": said.text, "tool_calls": _ollama_calls(said)}
    return Answer("ollama.chat", "application/json", (_lines({"message": message} | _OLLAMA_END)[0].rstrip(),))


def ollama_generate(said: Said, cut: Cut) -> Answer:
    values: list[Json] = [{"response": "", "thinking": piece, "done": False} for piece in cut(said.reasoning)]
    values += [{"response": piece, "done": False} for piece in cut(said.text)]
    return Answer("ollama.generate", "application/x-ndjson", _lines(*values, {"response": ""} | _OLLAMA_END))


def ollama_generate_whole(said: Said) -> Answer:
    line = _lines({"response": said.text, "thinking": said.reasoning} | _OLLAMA_END)[0]
    return Answer("ollama.generate", "application/json; charset=utf-8", (line.rstrip(),))


def cohere(said: Said, cut: Cut) -> Answer:
    """Version 2: a plan, text, two calls."""
    values: list[Json] = [{"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant"}}}]
    values += [{"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}} for piece in cut(said.reasoning)]
    for index, call in enumerate(said.calls):
        at = {"index": index}
        first = {"id": f"c{index}", "type": "function", "function": {"name": "f", "arguments": ""}}
        values.append({"type": "tool-call-start", **at, "delta": {"message": {"tool_calls": first}}})
        values += [
            {"type": "tool-call-delta", **at, "delta": {"message": {"tool_calls": {"function": {"arguments": piece}}}}}
            for piece in cut(_arguments(call))
        ]
        values.append({"type": "tool-call-end", **at})
    values.append({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}})
    values += [{"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}} for piece in cut(said.text)]
    values += [
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": _COHERE_USAGE}},
    ]
    return Answer("cohere.chat", "text/event-stream", tuple(_sse(*values, named=True)))


_COHERE_USAGE: Json = {"tokens": {"input_tokens": 7, "output_tokens": 9}}


def cohere_v1(said: Said, cut: Cut) -> Answer:
    """One text, on lines of JSON; all of it again at the end."""
    values: list[Json] = [{"event_type": "stream-start", "is_finished": False}]
    values += [{"event_type": "text-generation", "text": piece, "is_finished": False} for piece in cut(said.text)]
    response = {"response_id": "r", "text": said.text, "meta": _COHERE_USAGE}
    values.append({"event_type": "stream-end", "is_finished": True, "finish_reason": "COMPLETE", "response": response})
    return Answer("cohere.chat", "application/stream+json", tuple(orjson.dumps(value) + b"\n" for value in values))


def _whole(api: str, value: Json) -> Answer:
    return Answer(api, "application/json", (json.dumps(value, indent=1).encode(),))


STREAMS: dict[str, Callable[[Said, Cut], Answer]] = {
    "openai.chat": chat,
    "openai.completions": completions,
    "openai.responses": responses,
    "openai.responses, deltas alone": lambda said, cut: responses(said, cut, aggregates=False),
    "anthropic.messages": messages,
    "gemini.generate": gemini,
    "gemini.generate, array": gemini_array,
    "gemini.generate, Code Assist": gemini_assist,
    "ollama.chat": ollama_chat,
    "ollama.generate": ollama_generate,
    "cohere.chat": cohere,
    "cohere.chat, version 1": cohere_v1,
}

WHOLES: dict[str, Callable[[Said], Answer]] = {
    "openai.chat": chat_whole,
    "openai.completions": completions_whole,
    "openai.responses": responses_whole,
    "anthropic.messages": messages_whole,
    "gemini.generate": gemini_whole,
    "ollama.chat": ollama_chat_whole,
    "ollama.generate": ollama_generate_whole,
}
