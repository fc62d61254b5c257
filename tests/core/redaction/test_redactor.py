"""The stored profile masks headers, URLs, texts and bodies, and changes nothing else."""

from __future__ import annotations

import json
import random
import string
import time

import pytest

from addons.core.redaction.redactor import Redactor

rng = random.Random(11)


def token(prefix: str = "sk-", count: int = 40) -> str:
    return prefix + "".join(rng.choices(string.ascii_letters + string.digits, k=count - 2)) + "4b"


def test_headers_by_name_value_and_shape() -> None:
    """Credential headers keep their scheme, others only lose what is a secret; order and case stay."""
    key, exact = token(), "my-exact-string-1"
    pairs = (
        ("Content-Type", "application/json"),
        ("Authorization", f"Bearer {key}"),
        ("X-Note", f"see {key} and {exact}"),
        ("x-ratelimit-remaining-tokens", "149999984"),
        ("Referer", f"https://host/a?api_key={exact}&b=1"),
    )
    clean, notes = Redactor([exact]).headers(pairs, "request.header")
    assert clean == (
        ("Content-Type", "application/json"),
        ("Authorization", f"Bearer ***{key[-4:]}"),
        ("X-Note", f"see ***{key[-4:]} and ***{exact[-4:]}"),
        ("x-ratelimit-remaining-tokens", "149999984"),
        ("Referer", f"https://host/a?api_key=***{exact[-4:]}&b=1"),
    )
    assert {note.where for note in notes} == {"request.header.authorization", "request.header.x-note", "request.header.referer"}
    assert key not in repr(notes) and exact not in repr(notes)


def test_cookies_keep_their_names() -> None:
    """Of Cookie and Set-Cookie the values go; names, attributes and spacing stay."""
    value = token("", 20)
    pairs = (("cookie", f"a={value}; b=short;c="), ("set-cookie", f"__cf_bm={value}; Path=/; HttpOnly; Secure"))
    clean, notes = Redactor().headers(pairs, "response.header")
    tail = value[-4:]
    assert clean == (("cookie", f"a=***{tail}; b=***;c="), ("set-cookie", f"__cf_bm=***{tail}; Path=/; HttpOnly; Secure"))
    assert len(notes) == 2


def test_headers_without_secrets_are_the_same_object() -> None:
    """Nothing found, nothing made anew."""
    pairs = (("accept", "*/*"), ("cookie", ""))
    assert Redactor().headers(pairs, "request.header")[0] is pairs


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/v1beta/models?key=abcdefgh1234&alt=sse", "/v1beta/models?key=***1234&alt=sse"),
        ("/x?client%5Fsecret=abc", "/x?client%5Fsecret=***"),
        ("/x?redirect=https%3A%2F%2Fjoe%3Ahunter22%40host.example", "/x?redirect=***"),
        ("/x?pageToken=abcdefghijkl123456&max_tokens=5", "/x?pageToken=abcdefghijkl123456&max_tokens=5"),
        ("/v1/messages?beta=true", "/v1/messages?beta=true"),
        ("/v1/%7Bname%7D", "/v1/%7Bname%7D"),
    ],
)
def test_url(path: str, clean: str) -> None:
    """Parameters are masked by name, and wherever a decoded value holds a secret; all else stays as it was written."""
    assert Redactor().url(path)[0] == clean


def test_url_holds_exact_and_shaped_secrets_nowhere() -> None:
    """In the path, in an unknown parameter, percent-encoded or not."""
    exact, key = "geheim/wort&1", token()
    path = f"/bot/{key}/geheim%2fwort%261?q={key}&r=geheim%2Fwort%261"
    clean, notes = Redactor([exact]).url(path)
    assert key not in clean and "wort" not in clean and notes


def test_text_is_masked() -> None:
    """Known shapes in prose, with the rule noted."""
    key = token()
    clean, (note,) = Redactor().text(f"my key is {key}, ok? é", "request.messages")
    assert clean == f"my key is ***{key[-4:]}, ok? é"
    assert (note.rule, note.where, note.action) == ("openai-key", "request.messages", "mask")


def test_lone_surrogates_pass() -> None:
    """Text that no encoding takes neither raises nor changes."""
    assert Redactor().text("a\ud800b\udcff", "x")[0] == "a\ud800b\udcff"
    assert Redactor().headers((("x-api-key", "abc\udcff"),), "h")[0] == (("x-api-key", "***"),)
    assert Redactor().url("/a?key=\udcff\udcfe")[0] == "/a?key=***"


def test_masked_json_is_json() -> None:
    """Whatever stood in the strings, and however it was escaped, the body still parses and the secret is gone."""
    exact = 'q"uo\\te/\n<&>é' + token("", 8)
    pem = "-----BEGIN " + "PRIVATE KEY-----\n" + "\n".join(token("", 64) for _ in range(4)) + "\n-----END " + "PRIVATE KEY-----\n"
    inner = json.dumps({"password": exact, "pem": pem})
    body = json.dumps(
        {"a": exact, "b": inner, "url": f"https://joe:{token('', 12)}@host/", "pem": pem, exact: 1, "n": [1.5, None]}
    ).encode()
    clean, notes = Redactor([exact]).body(body, "application/json", "request.body")
    value = json.loads(clean)
    json.loads(value["b"])
    assert exact not in json.dumps(value, ensure_ascii=False) and exact not in value["b"] and pem[40:100] not in clean.decode()
    assert len(notes) >= 5


def test_clean_body_is_the_same_object() -> None:
    """No finding: not a byte changes."""
    body = json.dumps({"id": "chatcmpl-1a2b3c4d5e6f", "max_tokens": 5, "text": "hello"}).encode()
    assert Redactor([token()]).body(body, "application/json", "x") == (body, [])


def test_masking_twice_changes_nothing_more() -> None:
    """A mask is no secret."""
    text = f"Authorization: Bearer {token()}\npassword: '{token('', 14)}' postgres://joe:{token('', 9)}@db/x?key={token()}"
    once, _ = Redactor().text(text, "x")
    assert Redactor().text(once, "x") == (once, [])


def test_cut_body_keeps_no_beginning_of_a_secret() -> None:
    """A body that was cut inside a secret does not hold what was left of it."""
    exact = token("", 30)
    body = f'{{"text": "see {exact[:20]}'.encode()
    assert exact[:6].encode() not in Redactor([exact]).body(body, None, "x", cut=True)[0]


def test_a_megabyte_in_time() -> None:
    """A body with many quotes, words and numbers is scanned in a fraction of a second (generous: machines are busy)."""
    line = json.dumps({"role": "user", "content": 'def f(x):\n    return {"token": x, "id": 17}  # see https://host/path\n' * 10})
    body = (line * (1_000_000 // len(line))).encode()
    started = time.perf_counter()
    Redactor([token()]).body(body, "application/json", "x")
    assert time.perf_counter() - started < 1


def test_words_of_the_protocol_are_no_assignment() -> None:
    """Claude Code's `anthropic-beta` names a `token-count` feature before others; a key pasted there is masked all the same."""
    betas = "interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,context-management-2025-06-27"
    key = "sk-ant-api03-" + "".join(random.Random(5).choices(string.ascii_letters + string.digits, k=40))
    assert Redactor().headers((("anthropic-beta", betas),), "request.header") == ((("anthropic-beta", betas),), [])
    clean, notes = Redactor().headers((("anthropic-beta", f"{betas},{key}"),), "request.header")
    assert key not in clean[0][1] and betas in clean[0][1] and len(notes) == 1


def test_looking_ahead_changes_nothing() -> None:
    """What is found, masked and noted is the same as without it: plain texts, JSON, streams, wide characters, headers, URLs; twice over."""
    key = "sk-" + "".join(random.Random(5).choices(string.ascii_letters + string.digits, k=40))
    own = "own-" + key[5:25]
    texts = ["", "plain", f"my key is {key}", f"{own}", json.dumps({"api_key": key, "n": 1}), f'data: {{"a": "{key}"}}\n\n', "a\0b\0" + key]
    texts += [f"https://x.test/?api_key={key}", "broken {", "\ud800", f"password = {key[:20]}"]
    headers = (("Date", "Fri, 27 Nov 2026 02:20:11 GMT"), ("User-Agent", f"x {key}"), ("X-Custom", own), ("Server", "nginx"), ("Etag", ""))
    plain, ahead = Redactor([own]), Redactor([own])
    for _ in range(2):
        ahead.look_ahead(texts, [headers])
        assert [ahead.text(text, "w") for text in texts] == [plain.text(text, "w") for text in texts]
        assert [ahead.url(text, "w") for text in texts] == [plain.url(text, "w") for text in texts]
        assert ahead.headers(headers, "h") == plain.headers(headers, "h")
    assert sum(bool(ahead.text(text, "w")[1]) for text in texts) >= 6


def test_what_is_clean_for_one_is_not_for_another() -> None:
    """A text is looked at again for the next client, whose own credential it may hold; what one client's is made of is kept."""
    redactor, secret = Redactor(), "".join(random.Random(6).choices(string.ascii_lowercase, k=20))
    text = f"they say {secret} aloud"
    assert redactor.text(text, "w") == (text, [])
    knowing = redactor.knowing([secret])
    knowing.look_ahead([text])
    assert secret not in knowing.text(text, "w")[0]
    assert redactor.text(text, "w") == (text, [])
    assert redactor.knowing([secret]) is knowing
    assert knowing.knowing(["another-value"]) is not redactor.knowing(["another-value"])
