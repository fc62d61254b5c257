"""What is asked and answered in a demo, and by whom: lanes that run side by side, each a sequence of calls."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from scripts.demo.wire import Sample, ToolUse

OPENAI_SDK = "OpenAI/Python 3.54.0"
OPENAI_NODE = "OpenAI/JS 7.2.0"
ANTHROPIC_SDK = "Anthropic/Python 2.12.0"
CLAUDE_CODE = "claude-cli/2.1.45 (external, cli)"
CODEX = "codex_cli_rs/0.92.0 (Linux; x86_64)"
GENAI_SDK = "google-genai-sdk/3.4.0 gl-python/3.13"
CURL = "curl/8.14.1"
OLLAMA = "ollama-python/0.7.0"

Lane = tuple[Sample, ...]

PLAN = "Route each call, keep its bytes, write one row. Then look at the rows."
CACHED_SYSTEM = "You are a careful reviewer of pull requests. " + "Prefer small changes, name the risk, show the line. " * 20


def conversation(first: Sample, turns: Sequence[tuple[str, str]]) -> Lane:
    """One call per (question, answer), each sending again all that was said before."""
    return tuple(replace(first, ask=ask, answer=answer, history=tuple(turns[:n])) for n, (ask, answer) in enumerate(turns))


def tool_loop(first: Sample, tool: ToolUse, result: str, answer: str) -> Lane:
    """The model asks for a tool; its result is sent back and answered."""
    return (replace(first, tool=tool), replace(first, tool=replace(tool, result=result), answer=answer))


def lanes() -> tuple[Lane, ...]:
    """All that goes well, made anew each time since it holds a secret made up for the occasion."""
    return (*_agents(), *_chats(), *_single(), *_leaks())


def _agents() -> tuple[Lane, ...]:
    session = {"X-Claude-Code-Session-Id": secrets.token_hex(8)}
    reviewer = Sample(
        CLAUDE_CODE, "messages", "claude-sonnet-4-5", "Use the tool to read router.py, then say what it does.", system=CACHED_SYSTEM,
        stream=True, knobs={"cached": "140"}, headers=session | {"anthropic-version": "2023-06-01"},
    )  # fmt: skip
    coder = Sample(
        CODEX, "responses", "gpt-5", "", system="You write tests first.", stream=True, knobs={"reasoning": "64"},
        headers={"session-id": secrets.token_hex(8)},
    )  # fmt: skip
    weather = Sample(OPENAI_SDK, "chat", "gpt-4o", "Use the tool: is it raining in Bergen?", headers={"X-Turnpike-Tag": "weather-bot"})
    read = ToolUse("read_file", {"path": "addons/router.py"}, id="toolu_demo_1")
    return (
        tool_loop(reviewer, read, "addons = [Settings, Scope, Gate, Router]", "It lists the add-ons in the order of a call's journey."),
        conversation(
            coder,
            [
                ("Write a test for an empty list.", "def test_empty(): assert total([]) == 0"),
                ("Now the function.", "def total(items): return sum(items)"),
                ("And for one item?", "def test_one(): assert total([7]) == 7"),
            ],
        ),
        tool_loop(weather, ToolUse("get_weather", {"city": "Bergen"}), '{"rain": true, "mm": 12}', "Yes, 12 mm since this morning."),
    )


def _chats() -> tuple[Lane, ...]:
    helper = Sample(
        OPENAI_NODE, "chat", "gpt-4o-mini", "", system="Answer in one line.", stream=True, headers={"X-Turnpike-Tag": "support"}
    )
    thinker = Sample(ANTHROPIC_SDK, "messages", "claude-haiku-4-5", "", headers={"anthropic-version": "2023-06-01"})
    guide = Sample(GENAI_SDK, "gemini", "gemini-2.5-flash", "", stream=True)
    local = Sample(OLLAMA, "ollama", "llama3.2:latest", "", stream=True, way="base", upstream="ollama")
    return (
        conversation(
            helper,
            [
                ("Where is my order?", "It left the warehouse yesterday."),
                ("When will it be here?", "Tomorrow before noon."),
                ("Can I change the address?", "Until this evening, under Orders."),
                ("Thanks!", "You are welcome."),
            ],
        ),
        conversation(thinker, [("Name three primes.", "2, 3 and 5."), ("Their product?", "30."), ("Is it square-free?", "Yes.")]),
        conversation(guide, [("A walk in Lisbon?", "Start at Alfama, early."), ("With children?", "Then the Oceanario first.")]),
        conversation(local, [("Say hello in Welsh.", "Shwmae!"), ("And goodbye?", "Hwyl fawr!")]),
    )


def _single() -> tuple[Lane, ...]:
    version = {"anthropic-version": "2023-06-01"}
    nightly = {"X-Turnpike-Tag": "nightly-eval"}
    return (
        (
            Sample(OPENAI_SDK, "chat", "gpt-4.1", "Summarise the plan.", PLAN, way="base"),
            Sample(OPENAI_SDK, "chat", "gpt-4.1-mini", "Summarise the plan.", PLAN, way="base", headers=nightly),
            Sample(OPENAI_SDK, "chat", "gpt-5-nano", "Summarise the plan.", PLAN, headers=nightly, knobs={"reasoning": "128"}),
            Sample(CURL, "chat", "gpt-4o-mini", "Hello from curl", "Hello, curl.", way="base"),
        ),
        (
            Sample(OPENAI_SDK, "embeddings", "text-embedding-3-small", "What is a proxy? | What is a gateway?"),
            Sample(OPENAI_SDK, "embeddings", "text-embedding-3-large", "Byte-faithful interception", way="base"),
            Sample(CURL, "completions", "gpt-3.5-turbo-instruct", "Once upon a time", " there was a packet."),
            Sample(OPENAI_SDK, "responses", "gpt-5-mini", "A haiku on latency", "Bytes wait at the gate", knobs={"first_byte": "0.4"}),
        ),
        (
            Sample(ANTHROPIC_SDK, "messages", "claude-sonnet-4-5", "Review this diff.", "Looks right.", system=CACHED_SYSTEM, way="base",
                   knobs={"cache_write": "150"}, headers=version),
            Sample(ANTHROPIC_SDK, "messages", "claude-opus-4-5", "Write an essay.", stream=True, knobs={"chunks": "60"}, headers=version),
            Sample(GENAI_SDK, "gemini", "gemini-2.5-pro", "Describe the picture.", "A lighthouse at dusk."),
            Sample(GENAI_SDK, "gemini", "gemini-2.5-flash-lite", "Translate: good morning", "Bom dia", way="base"),
            Sample(OLLAMA, "ollama", "qwen3:8b", "Name a colour.", "Teal.", way="base", upstream="ollama"),
        ),
    )  # fmt: skip


def _leaks() -> tuple[Lane, ...]:
    """A prompt with a secret in it: in the database it is masked."""
    text = f"Why does this fail? OPENAI_API_KEY=sk-proj-{secrets.token_hex(24)} python bot.py"
    return ((Sample(OPENAI_SDK, "chat", "gpt-4o-mini", text, "Check that the key is active.", headers={"X-Turnpike-Tag": "debugging"}),),)


def failures() -> Lane:
    """All that goes wrong: one after the other and last, since a key that was refused rests for a while."""
    chat = Sample(OPENAI_SDK, "chat", "gpt-4o", "Will this work?", "Not really.")
    claude = Sample(ANTHROPIC_SDK, "messages", "claude-haiku-4-5", "Are you there?", headers={"anthropic-version": "2023-06-01"})
    too_long = {"status": "400", "error": "context_length_exceeded", "message": "This model's maximum context length is 128000 tokens."}
    return (
        replace(chat, expect=400, knobs=too_long),
        replace(chat, expect=404, model="gpt-0", knobs={"status": "404", "error": "model_not_found"}),
        replace(claude, expect=500, knobs={"status": "500"}),
        replace(claude, expect=200, stream=True, knobs={"chunks": "12", "cut": "5"}),
        replace(claude, expect=200, stream=True, knobs={"chunks": "12", "fail_after": "4"}),
        replace(chat, expect=503, knobs={"status": "429", "retry_after": "40"}),  # by every key, and for too long
    )
