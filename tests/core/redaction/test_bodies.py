"""In whatever body a secret is planted: it is found, nothing else is, and putting something in its place changes no other byte."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.redaction.bodies import BodyScanner, Located, replaced
from addons.core.redaction.memory import Memory
from addons.core.redaction.segments import MIN_REMEMBERED_BYTES
from tests.core.redaction.planted import Values, token

PLAIN = [token(20, seed) for seed in range(3)]
ODD = ['q"uo\\te' + token(8, 5), "zwei\nZeilen\t" + token(8, 6), "schlüssel😀" + token(8, 7)]
SECRETS = [*PLAIN, *ODD]
MARK = '***<"\\&+>'

FILLER = st.text(alphabet=st.sampled_from("abc é😀.\n\t,:"), max_size=8)
STRING = st.lists(FILLER | st.sampled_from(SECRETS), max_size=3).map(" ".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | STRING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRING, inner, max_size=3) | inner.map(lambda v: json.dumps([v])),
    max_leaves=12,
)
WRITTEN = st.tuples(st.booleans(), st.sampled_from([None, 2]), st.sampled_from([(",", ":"), (", ", ": ")]))


def opened(value: Any) -> Any:
    """JSON in strings parsed too."""
    if isinstance(value, str) and value.startswith(("[", "{")):
        try:
            return ("string", opened(json.loads(value)))
        except ValueError:
            return value
    if isinstance(value, dict):
        return {key: opened(child) for key, child in value.items()}
    return [opened(child) for child in value] if isinstance(value, list) else value


def changed(value: Any) -> Any:
    """As `opened` gives it, with MARK in place of every secret."""
    if isinstance(value, str):
        for secret in SECRETS:
            value = value.replace(secret, MARK)
        return value
    if isinstance(value, dict):
        return {changed(key): changed(child) for key, child in value.items()}
    return type(value)(changed(child) for child in value) if isinstance(value, list | tuple) else value


def texts(value: Any) -> Iterator[str]:
    """All strings, keys too, in the order of the text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield key
            yield from texts(child)
    elif isinstance(value, tuple):
        yield from texts(value[1])
    elif isinstance(value, list):
        for child in value:
            yield from texts(child)


def planted_in(value: Any) -> list[str]:
    found = []
    for text in texts(opened(value)):
        places = sorted((at, secret) for secret in SECRETS for at in range(len(text)) if text.startswith(secret, at))
        found += [secret for _, secret in places]
    return found


def write(value: Any, how: tuple[bool, int | None, tuple[str, str]]) -> bytes:
    ascii_only, indent, separators = how
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=separators).encode()


def find(body: bytes, content_type: str | None = None, *, cut: bool = False, values: list[str] | None = None) -> list[Located]:
    return BodyScanner(Values(SECRETS if values is None else values)).find(body, content_type, "body", cut)


def put(body: bytes, found: list[Located]) -> bytes:
    return replaced(body, found, lambda place: MARK)


@settings(max_examples=300, deadline=None)
@given(JSON, WRITTEN)
def test_what_is_planted_is_found_and_nothing_else(value: Any, how: Any) -> None:
    """In any JSON, strings in strings and keys too; each place decodes to its secret."""
    body = write(value, how)
    found = find(body)
    assert [place.secret for place in found] == planted_in(value)
    assert all(one.end <= other.start for one, other in pairwise(found))


@settings(max_examples=300, deadline=None)
@given(JSON, WRITTEN)
def test_only_the_secrets_are_replaced(value: Any, how: Any) -> None:
    """What comes out is JSON, at every level, whose only difference is the secrets; without one it is the same object."""
    body = write(value, how)
    found = find(body)
    clean = put(body, found)
    assert opened(json.loads(clean)) == changed(opened(value))
    assert (clean is body) is (not found)
    kept, at = [], 0
    for place in found:
        kept.append(body[at : place.start])
        at = place.end
    for piece in (*kept, body[at:]):
        assert piece in clean


@settings(max_examples=150, deadline=None)
@given(JSON, WRITTEN, st.data())
def test_cut_anywhere_nothing_raises_and_nothing_is_missed(value: Any, how: Any, data: st.DataObject) -> None:
    """All secrets that are whole in what is left are found where they were."""
    body = write(value, how)
    cut_at = data.draw(st.integers(0, len(body)))
    whole = [(place.start, place.end) for place in find(body) if place.end <= cut_at and not place.escapes > 1]
    found = [(place.start, place.end) for place in find(body[:cut_at], cut=True)]
    assert all(any(start <= place[0] and place[1] <= end for start, end in found) for place in whole)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([b'"', b"\\", b"{", b"[", b"]", b":", b",", b"\n", b"\\u", b"\\ud83d", b"\xff", b"\0", b"data: ", b"a", b"1" * 9])
    )
)
def test_no_bytes_make_it_raise(pieces: list[bytes]) -> None:
    """Of whatever kind it is said to be; plain secrets in it are found."""
    for kind in (
        None,
        "application/json",
        "text/event-stream",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "image/png",
    ):
        body = b" ".join(pieces)
        found = find(body, kind, cut=True)
        assert put(body, found) is body
        assert kind == "image/png" or [place.secret for place in find(body + b" " + PLAIN[0].encode() + b" ", kind)] == [PLAIN[0]]


@settings(max_examples=60, deadline=None)
@given(st.lists(JSON, min_size=2, max_size=6), WRITTEN)
def test_a_memory_changes_nothing(values: list[Any], how: Any) -> None:
    """Found for the first time, again, and with more behind it."""
    filler = {"role": "user", "content": "long " * 900}
    memory = Memory()
    scanner = BodyScanner(Values(SECRETS), memory, b"same")
    for count in (len(values), len(values), len(values) - 1, len(values)):
        body = write([part for value in values[:count] for part in (filler, value, {"role": "user", "content": value})], how)
        assert len(body) > MIN_REMEMBERED_BYTES
        assert scanner.find(body, None, "body") == find(body)


def history(count: int) -> list[Any]:
    rng = random.Random(3)
    return [{"role": "user", "content": " ".join(token(9, rng.randrange(10**6)) for _ in range(300)) + " {"} for _ in range(count)]


def test_a_history_is_not_read_twice() -> None:
    """Of a second send only what is new goes through the scanner, and the findings of the first are there."""
    messages = history(40)
    messages[3]["content"] += PLAIN[0]
    values = Values(SECRETS)
    scanner = BodyScanner(values, Memory())
    first = json.dumps({"messages": messages}).encode()
    assert [place.where for place in scanner.find(first, None, "body")] == ["body.messages[3].content"]
    seen = values.looked_at
    second = json.dumps({"messages": [*messages, {"role": "user", "content": f"and {PLAIN[1]}"}]}).encode()
    found = scanner.find(second, None, "body")
    assert [(place.secret, place.where) for place in found] == [
        (PLAIN[0], "body.messages[3].content"),
        (PLAIN[1], "body.messages[40].content"),
    ]
    assert values.looked_at - seen < len(first) / 10


def test_a_memory_is_not_shared_by_scanners_that_find_other_things() -> None:
    """Unless they say that they are the same."""
    memory, body = Memory(), json.dumps([*history(5), PLAIN[0]]).encode()
    assert not BodyScanner(Values([]), memory).find(body, None, "b")
    assert BodyScanner(Values(SECRETS), memory).find(body, None, "b")
    assert not BodyScanner(Values([]), memory, b"x").find(body, None, "b")
    assert not BodyScanner(Values(SECRETS), memory, b"x").find(body, None, "b")


def test_the_end_of_a_cut_body_is_always_read() -> None:
    """A segment that was whole when it was seen may end within a secret now."""

    class AtEnd(Values):
        def find(self, data: bytes, cut: bool = False) -> Any:
            return super().find(data) if not cut else Values([PLAIN[0][:8]]).find(data)

    body = json.dumps([*history(5), "x" + PLAIN[0][:8]]).encode()
    scanner = BodyScanner(AtEnd([]), Memory())
    assert not scanner.find(body, None, "b")
    assert [place.secret for place in scanner.find(body[:-2], None, "b", cut=True)] == [PLAIN[0][:8]]
    assert [place.secret for place in scanner.find(body, None, "b", cut=True)] == [PLAIN[0][:8]]


def test_a_secret_over_two_strings_is_none() -> None:
    """Neither over two elements nor over a key and its value."""
    a, b = PLAIN[0][:10], PLAIN[0][10:]
    assert not find(json.dumps({"x": [a, b], a: b}).encode())
    assert not BodyScanner(Values([f'{a}"\n\0\n"{b}', f'{a}": "{b}'])).find(json.dumps({"x": [a, b], a: b}).encode(), None, "b")


def test_a_finding_that_reaches_over_is_looked_for_in_each() -> None:
    """A rule that takes too much does not hide what is in its strings."""

    class Greedy(Values):
        def find(self, data: bytes, cut: bool = False) -> Any:
            found = super().find(data)
            return [type(found[0])(found[0].start, found[-1].end, "all")] if found else []

    body = json.dumps({"a": f"x {PLAIN[0]}", PLAIN[1]: "y"}).encode()
    assert [place.secret for place in BodyScanner(Greedy(SECRETS)).find(body, None, "b")] == PLAIN[:2]


def test_where_tells_the_place() -> None:
    """Keys and indexes; a key that is a secret itself is not told."""
    body = {
        "messages": [{"content": [{"text": PLAIN[0]}]}, {"tool_calls": [{"arguments": json.dumps({"x": PLAIN[1]})}]}],
        PLAIN[2]: {"a": PLAIN[0]},
    }
    found = find(json.dumps(body).encode())
    assert [place.where for place in found] == [
        "body.messages[0].content[0].text",
        "body.messages[1].tool_calls[0].arguments",
        "body",
        "body.*.a",
    ]
    assert [place.escapes for place in found] == [1, 2, 1, 1]
    assert not any(secret in repr(place) for place in found for secret in SECRETS)


def test_depth_is_bounded() -> None:
    """Deep nesting, and JSON in strings in strings, neither raise nor take long; what is deep is found as text."""
    text = PLAIN[0]
    for _ in range(9):
        text = json.dumps([text])
    assert [place.secret for place in find(text.encode())] == [PLAIN[0]]
    deep = b"[" * 200_000 + json.dumps(PLAIN[0]).encode() + b"]" * 200_000
    assert [place.secret for place in find(deep)] == [PLAIN[0]]


@pytest.mark.parametrize(
    "body",
    [
        '{"a": %s',
        "{'a': '%s'}",
        '{"a": "%s",}',
        "{a: '%s'}",
        'x = {"a": "%s"}',
        '{"a": "it\'s" "%s" oops}',
        '{"a": "b"}\n{"a": "%s"}\n{"a',
        ')]}\',\n{"a": "%s"}',
        '["\x01%s\n"]',
        '["\\x%s"]',
        '{"a": 1, "a": "%s"}',
        '\ufeff{"a": "%s"}',
        '["\\ud800%s"]',
        '["%s',
        '["%s\\',
        '["%s\\u00',
    ],
)
def test_what_is_no_json_or_hardly(body: str) -> None:
    """Broken, cut, with a mark before it, with a key twice, JSON lines: the secret is found and only it is replaced."""
    text = (body % PLAIN[0]).encode()
    found = find(text)
    assert [place.secret for place in found] == [PLAIN[0]]
    assert replaced(text, found, lambda place: "***") == text.replace(PLAIN[0].encode(), b"***")


def test_escaped_secrets_in_broken_json() -> None:
    """Strings with escapes are decoded even where the whole is no JSON."""
    text = b'{"a": ' + json.dumps(ODD[0]).encode() + b", oops}"
    assert [place.secret for place in find(text)] == [ODD[0]]


def test_names_in_broken_json() -> None:
    """Keys count there too."""
    secret = token(16, 13)
    text = b'{"password": "' + secret.encode() + b'", oops}'
    assert [place.secret for place in find(text)] == [secret]


def test_a_string_that_only_begins_like_json() -> None:
    """All of it is read."""
    body = json.dumps({"a": f'{{"x": {PLAIN[0]}', "b": f'["y"] and {PLAIN[1]}', "c": f'"quoted" {PLAIN[2]}'}).encode()
    assert [place.secret for place in find(body)] == PLAIN


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("secret", [PLAIN[0], ODD[2]])
def test_other_encodings_of_text(codec: str, secret: str) -> None:
    """UTF-16 and UTF-32 are read, and written back as they were."""
    body = json.dumps({"é": f"😀 {secret} end"}, ensure_ascii=False).encode(codec)
    found = find(body, "application/json")
    assert [place.secret for place in found] == [secret]
    assert json.loads(replaced(body, found, lambda place: "***").decode(codec)) == {"é": "😀 *** end"}


def test_broken_utf8() -> None:
    """Bytes that are no text are neither lost nor in the way."""
    body = b'{"a": "\xff\\n' + PLAIN[0].encode() + b'\xfe"}'
    found = find(body)
    assert [place.secret for place in found] == [PLAIN[0]]
    assert replaced(body, found, lambda place: "x") == b'{"a": "\xff\\nx\xfe"}'


def test_an_event_stream() -> None:
    """The JSON of its data lines, and other lines as text."""
    events = [{"delta": f"a\n{ODD[1]}"}, {"x": 1}]
    body = b"event: x\n" + b"".join(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events)
    body += f": {PLAIN[0]}\n\ndata: plain {PLAIN[1]}\n\ndata: [DONE]\n\n".encode()
    found = find(body, "text/event-stream")
    assert [(place.secret, place.escapes) for place in found] == [(ODD[1], 1), (PLAIN[0], 0), (PLAIN[1], 0)]
    assert json.loads(put(body, found).split(b"\r\n")[0].split(b"data: ")[1]) == {"delta": f"a\n{MARK}"}


@given(st.lists(st.tuples(STRING, STRING), max_size=4))
def test_a_form(pairs: list[tuple[str, str]]) -> None:
    """Names and values are decoded, and written as a form writes them."""
    body = urlencode(pairs).encode()
    found = find(body, "application/x-www-form-urlencoded; charset=utf-8")
    assert [place.secret for place in found] == [secret for pair in pairs for secret in planted_in(list(pair))]
    clean = put(body, found).decode()
    assert parse_qsl(clean, keep_blank_values=True) == [(changed(name), changed(value)) for name, value in pairs]


def test_json_in_a_form() -> None:
    """Percent-encoded and escaped."""
    body = urlencode({"payload": json.dumps({"a": ODD[0]})}).encode()
    found = find(body, "application/x-www-form-urlencoded")
    assert [(place.secret, place.form, place.escapes) for place in found] == [(ODD[0], True, 1)]
    assert json.loads(dict(parse_qsl(put(body, found).decode()))["payload"]) == {"a": MARK}


def test_multipart() -> None:
    """Text and JSON fields and text files are read, binary parts are not; boundaries and all other bytes stay."""
    boundary = "-----" + token(10)
    fields = [
        (b'Content-Disposition: form-data; name="prompt"', f"hello {PLAIN[0]}".encode()),
        (b'Content-Disposition: form-data; name="options"\r\nContent-Type: application/json', json.dumps({"a": ODD[0]}).encode()),
        (
            b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav',
            b"RIFF\0" + PLAIN[1].encode() + b"\r\n",
        ),
        (b'Content-Disposition: form-data; name="batch"; filename="b.jsonl"', b'{"x": "' + PLAIN[2].encode() + b'"}\n{"x": 1}\n'),
    ]
    body = (
        b"".join(b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary.encode(), head, content) for head, content in fields)
        + b"--%b--\r\n" % boundary.encode()
    )
    found = find(body, f'multipart/form-data; boundary="{boundary}"')
    assert [place.secret for place in found] == [PLAIN[0], ODD[0], PLAIN[2]]
    clean = put(body, found)
    assert clean.count(boundary.encode()) == 5 and fields[2][1] in clean
    assert [
        place.secret for place in BodyScanner(Values(SECRETS, "exact")).find(body, f"multipart/form-data; boundary={boundary}", "b")
    ] == [
        PLAIN[0],
        ODD[0],
        PLAIN[1],
        PLAIN[2],
    ]


def test_numbers_can_be_secrets() -> None:
    """An exact string of digits is found as a number too, and the whole is still JSON; also in a string of JSON."""
    pin = "".join(random.Random(2).choices("123456789", k=10))
    body = json.dumps({"a": int(pin), "b": json.dumps({"c": -int(pin)}), "d": f"{pin}.", "e": float(f"0.{pin}")}).encode()
    found = find(body, values=[pin])
    assert json.loads(put(body, found)) == {"a": MARK, "b": json.dumps({"c": MARK}), "d": f"{MARK}.", "e": float(f"0.{pin}")}


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_opaque_is_left_alone_but_for_exact_values(count: int) -> None:
    """Ids, signatures, media and data: URLs; a configured key is found even there."""
    secret = PLAIN[0]
    blob = token(300, 9) + secret + token(100, 10)
    body = json.dumps(
        {
            "id": f"msg_{secret}",
            "tool_use_id": f"toolu_{secret}",
            "signature": f"Eqo{secret}==",
            "encrypted_content": blob,
            "source": {"type": "base64", "data": blob},
            "images": [blob, blob],
            "image_url": {"url": f"data:image/png;base64,{blob}"},
            "text": f"![x](data:image/png;base64,{blob})",
            "next_page_token": secret,
            "prompt_cache_key": secret,
            "system_fingerprint": f"fp_{secret}",
        }
    ).encode()
    assert not find(body * count)
    assert len(BodyScanner(Values([secret], "exact")).find(body, None, "b")) == 12


def test_the_same_names_hold_text_elsewhere() -> None:
    """A sentence under `id`, base64 that is short, a credential's shape as all of an id, arguments in a string."""
    shape = "ghx_" + token(30, 11)
    body = json.dumps(
        {"id": f"see {PLAIN[0]}", "data": PLAIN[1], "user_id": shape, "arguments": json.dumps({"id": f"x_{PLAIN[2]}"})}
    ).encode()
    found = BodyScanner(Values(SECRETS, shapes=[shape])).find(body, None, "b")
    assert [place.secret for place in found] == [PLAIN[0], PLAIN[1], shape, PLAIN[2]]


def test_a_credential_under_the_name_of_a_signature_is_found() -> None:
    """A tool's arguments may be called anything: what has a credential's shape in all of its length is none of the protocol's."""
    shape = "ghx_" + token(30, 11)
    body = json.dumps({"input": {"signature": shape, "next_page_token": shape, "encrypted_note": f"Eqo{shape}"}}).encode()
    assert [place.secret for place in BodyScanner(Values(SECRETS, shapes=[shape])).find(body, None, "b")] == [shape, shape]


def test_values_count_by_their_keys() -> None:
    """Passwords and keys by name, in strings of JSON and in pairs of name and value; schemas, counts and words do not."""
    secret = token(16, 12)
    good = {
        "password": secret,
        "dbPassword": secret,
        "headers": {"X-API-Key": secret, "Authorization": f"Bearer {secret}"},
        "env": [{"name": "OPENAI_API_KEY", "value": secret}],
        "arguments": json.dumps({"client_secret": secret, "tokens": [secret]}),
        "token": [secret, secret],
    }
    found = BodyScanner(Values([])).find(json.dumps(good).encode(), None, "b")
    assert [place.secret for place in found] == [secret] * 7
    harmless = {
        "max_tokens": 100,
        "password": {"type": "string", "description": "The user's password"},
        "required": ["password", "api_key"],
        "token": "hello",
        "api_key": "your-api-key-123",
        "secret": "${MY_SECRET_123}",
        "passwords": "Passwort vergessen",
        "next_page_token": secret,
        "token_type": "bearer12345",
    }
    assert not BodyScanner(Values([])).find(json.dumps(harmless).encode(), None, "b")


def test_a_megabyte_in_time() -> None:
    """Bodies made to be slow take a fraction of a second (generous: machines are busy)."""
    for body in (b"[" + b'"a",' * 250_000 + b'"a"]', b'["' + b'\\" ' * 333_000, b'{"' * 500_000, b'"' * 999_999, b'{"a":"' * 160_000):
        started = time.perf_counter()
        find(body)
        assert time.perf_counter() - started < 3
