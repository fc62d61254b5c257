"""Looking ahead tells what is clean, and nothing else."""

from __future__ import annotations

import json
import random

import pytest

from addons.core.call import Headers
from addons.core.redaction.redactor import Redactor
from addons.core.redaction.ruleset import Rule
from addons.core.redaction.scanner import Scanner
from addons.core.redaction.sweep import Body

KEY = "sk-" + "".join(random.Random(7).choices("QRSTUVWXYZqrstuvwxyz23456789", k=38)) + "9z"
AWS = "AKIA" + "".join(random.Random(7).choices("ABCDEFGHJKLMNPQRSTUVWXYZ234567", k=16))


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
    redactor = Redactor()
    for _ in range(2):
        assert ("anthropic-beta", words) in redactor.look_ahead([], [(("anthropic-beta", words),)]).headers
    assert not Redactor().look_ahead([], [(("Via", KEY),)]).headers


@pytest.mark.parametrize(
    "text",
    [
        "\0".join(KEY) + "\0",
        "\ufeff" + "\0".join(KEY) + "\0",
        "\ufeff[" + json.dumps(f"see \ue000{KEY}").replace("-", "\\u002d") + "]",
        f'data: {{"a": "{KEY[:9]}"}}\n\ndata: {{"a": "{KEY[9:]}"}}\n\n',
        f'["{KEY}"]',
    ],
)
def test_a_text_is_known_to_be_clean_as_the_redactor_reads_it(text: str) -> None:
    """As UTF-16, as JSON, as events: or nothing is known of it."""
    told = text in Redactor().look_ahead([text, "hello"]).texts
    assert not (told and Redactor().text(text, "x")[1])


@pytest.mark.parametrize("others", [(), (("Accept", "*/*"),), (("X-A", "text here"),)])
def test_words_of_the_protocol_hold_no_media(others: Headers) -> None:
    """What is left alone within a data URL elsewhere is masked in such a header."""
    header = ("Via", f"data:image/png;base64,{AWS}")
    assert AWS not in Redactor().headers((header,), "x")[0][0][1]
    assert header not in Redactor().look_ahead([], [(header, *others)]).headers


@pytest.mark.parametrize(("pattern", "text"), [(r"(?m)^INT-[0-9]{6}$", "INT-123456"), (r"(?:^|\s)INT-[0-9]{6}(?:\s|$)", "x INT-123456")])
def test_a_rule_may_look_at_where_a_text_begins_and_ends(pattern: str, text: str) -> None:
    """Which it would not find beside others."""
    redactor = Redactor((), Scanner([Rule("own", pattern, keywords=("int-",), loose=True)]))
    content = text.encode()
    ahead = redactor.look_ahead([text, "hello"], [(("X-A", text), ("Via", text))], [Body(content, "text/plain"), Body(b"hello", None)])
    assert text not in ahead.texts and not ahead.headers and not ahead.has_body(content)
    assert redactor.body(content, "text/plain", "x")[1] and redactor.text(text, "x")[1]
