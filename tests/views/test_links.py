"""addons/views/links.py: addresses that lead where they say."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest

from addons.views.links import Links

LINKS = Links(lambda path: f"/base{path}")


@pytest.mark.parametrize("conversation", ["plain", "a/b", "a?b#c", "50%", "%2F", "東京 🚀", "~2F", "a&b=c", "...", "\n"])
def test_any_text_is_one_segment(conversation: str) -> None:
    """What the route decodes is the id."""
    path = urlsplit(LINKS.conversation(conversation)).path
    assert path.isascii()
    assert unquote(path.removeprefix("/base/-/llm/conversation/")) == conversation
    assert "/" not in path.removeprefix("/base/-/llm/conversation/")


def test_what_a_browser_takes_out_of_a_path_is_a_parameter() -> None:
    """`.` and `..`, encoded or not (WHATWG URL, single-dot and double-dot segments)."""
    assert LINKS.conversation("..") == "/base/-/llm/conversation/?id=.."
    assert LINKS.conversation(".", 2) == "/base/-/llm/conversation/?id=.&page=2"


def test_the_others() -> None:
    """All below `base_url`."""
    assert LINKS.call("A/B") == "/base/-/llm/call/A%2FB"
    assert LINKS.conversation("a", 3) == "/base/-/llm/conversation/a?page=3"
    assert LINKS.body("A", "request", "pretty") == "/base/-/llm/body/A/request?form=pretty"
    assert LINKS.image("A", "response", 2) == "/base/-/llm/image/A/response/2"
    assert LINKS.diff("a&", "b") == "/base/-/llm/diff?a=a%26&b=b"
