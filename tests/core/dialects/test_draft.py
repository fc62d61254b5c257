"""Parts that grow."""

from __future__ import annotations

from addons.core.call import Part
from addons.core.dialects.draft import MessageDraft


def test_parts_stand_in_the_order_in_which_they_began() -> None:
    """Text of one kind goes on, another kind begins a part, a keyed part grows wherever it stands, empty ones are left out."""
    draft = MessageDraft()
    assert not draft
    draft.add("reasoning", "a")
    draft.add("reasoning", "b")
    call = draft.keyed(0, "tool_call")
    call.data = {"id": "1", "name": "f"}
    draft.add("text", "c")
    draft.keyed(0, "tool_call").pieces.append('{"x": 1}')
    draft.keyed(1, "text")
    assert draft.parts() == (Part("reasoning", "ab"), Part("tool_call", '{"x":1}', {"id": "1", "name": "f"}), Part("text", "c"))
    assert draft
