"""The table of what is asked in a demo."""

from __future__ import annotations

from scripts.demo.samples import OPENAI_SDK, conversation, failures, lanes, tool_loop
from scripts.demo.wire import WIRES, Sample, ToolUse

FIRST = Sample(OPENAI_SDK, "chat", "gpt-4o", "")


def test_there_are_a_few_dozen_varied_calls() -> None:
    """Every dialect, both ways in, streams and whole answers, several clients."""
    samples = [sample for lane in (*lanes(), failures()) for sample in lane]
    assert len(samples) >= 30
    assert {sample.dialect for sample in samples} == set(WIRES)
    assert {sample.way for sample in samples} == {"proxy", "base"} and {sample.stream for sample in samples} == {True, False}
    assert len({sample.client for sample in samples}) >= 6
    assert {200, 400, 500, 503} <= {sample.expect for sample in failures()}


def test_the_secret_is_another_each_time() -> None:
    """It is made for the occasion and stands in no file."""
    leaks = [{sample.ask for lane in lanes() for sample in lane if "OPENAI_API_KEY=" in sample.ask} for _ in range(2)]
    assert all(leaks) and leaks[0].isdisjoint(leaks[1])


def test_a_conversation_sends_again_what_was_said() -> None:
    """Each turn has all turns before it as its history."""
    turns = conversation(FIRST, [("a", "A"), ("b", "B"), ("c", "C")])
    assert [(turn.ask, turn.answer, turn.history) for turn in turns] == [
        ("a", "A", ()), ("b", "B", (("a", "A"),)), ("c", "C", (("a", "A"), ("b", "B"))),
    ]  # fmt: skip


def test_a_tool_loop_is_two_calls() -> None:
    """The first offers the tool, the second brings its result."""
    offered, answered = tool_loop(FIRST, ToolUse("t", {"a": "1"}), "result", "Done")
    assert offered.tool and offered.tool.result is None
    assert answered.tool and answered.tool.result == "result" and answered.answer == "Done"
