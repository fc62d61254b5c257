"""addons/core/resending.py: what goes with a request that is sent again."""

from __future__ import annotations

import pytest

from addons.core.resending import is_sent


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("Content-Type", "application/json", True),
        ("anthropic-beta", "a,b", True),
        ("Host", "api.openai.com", False),
        ("CONTENT-LENGTH", "2", False),
        ("Content-Encoding", "zstd", False),
        (":path", "/v1", False),
        ("Sec-Fetch-Site", "cross-site", False),
        ("Authorization", "Bearer anything", False),
        ("Cookie", "a=b", False),
        ("OpenAI-Organization", "org", False),
        ("X-Other", "Bearer ***Ab1z", False),
    ],
)
def test_which_headers_are_sent(name: str, value: str, sent: bool) -> None:
    """None of the connection, of a credential, or that was masked."""
    assert is_sent(name, value) == sent
