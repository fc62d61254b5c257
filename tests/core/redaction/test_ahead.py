"""Looking ahead tells what is clean, and nothing else."""

from __future__ import annotations

import random

from addons.core.redaction.redactor import Redactor
from addons.core.redaction.sweep import Body

KEY = "sk-" + "".join(random.Random(7).choices("QRSTUVWXYZqrstuvwxyz23456789", k=38)) + "9z"


def test_nothing_is_known_before() -> None:
    """Without a look ahead everything is looked at when it is cleaned."""
    ahead = Redactor().look_ahead([])
    assert not ahead.texts and not ahead.headers and not ahead.has_body(b"x")


def test_what_is_clean_is_told() -> None:
    """Texts, headers by their kind, and bodies, which are known by being the same object."""
    body, secret = b'{"text": "hello"}', f"key {KEY}"
    headers = (("Accept", "x/y"), ("X-Own", "words"), ("Referer", "https://h/?a=b"), ("Cookie", "a=b"), ("X-Bad", secret))
    long = "nothing to see " * 50
    ahead = Redactor().look_ahead(["hello", long, secret], [headers], [Body(body, "application/json"), Body(secret.encode(), None)])
    assert {"hello", long} <= ahead.texts and secret not in ahead.texts
    assert [pair in ahead.headers for pair in headers] == [True, True, False, False, False]
    assert ahead.has_body(body) and not ahead.has_body(bytes(bytearray(body))) and not ahead.has_body(secret.encode())


def test_a_message_of_a_dirty_body_is_looked_at_by_itself() -> None:
    """It may be clean all the same; one that holds the secret is not."""
    clean, bad = "a clean message " * 20, f"a message with {KEY} in it " * 10
    body = f'{{"messages": ["{clean}", "{bad}"]}}'.encode()
    ahead = Redactor().look_ahead([clean, bad], (), [Body(body, "application/json")])
    assert clean in ahead.texts and bad not in ahead.texts and not ahead.has_body(body)


def test_words_of_the_protocol_are_looked_at_for_shapes_only() -> None:
    """`token-count, …` is none, although it reads like a name and its value."""
    words = "interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,context-management-2025-06-27"
    for _ in range(2):
        assert ("anthropic-beta", words) in Redactor().look_ahead([], [(("anthropic-beta", words),)]).headers
    assert not Redactor().look_ahead([], [(("Via", KEY),)]).headers
