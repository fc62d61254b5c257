"""The scanner finds credentials of every kind in raw bytes, leaves other text alone, and stays linear."""

from __future__ import annotations

import base64
import json
import lzma
import random
import string
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redaction.engines import NATIVE
from addons.core.redaction.ruleset import Rule
from addons.core.redaction.scanner import Finding, Scanner, merge, scan, scan_shapes
from addons.rulefiles import RULE_SETS, read_rules

VECTORS = Path(__file__).parents[4] / "shared" / "redaction" / "vectors-open.jsonl.xz"
NATIVE_SCANNER = Scanner(read_rules(RULE_SETS), native=NATIVE)
PLAIN_SCANNER = Scanner(read_rules(RULE_SETS), native=False)
HOSTILE = [
    *(b"token=", b'token="', b"--token a1b2 ", b"password: ", b"sk-", b" sk-aaaa", b"eyJaaaaaaaaaaaa.", b"a.ey", b"8Q~", b"://a:", b"key"),
    *(b"-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAA", b"kind: Secret\ndata:\n a: ", b"'\"`", b"a", b"AKIA", b"0:AA", b"\n", b"@"),
]

ALNUM = string.ascii_letters + string.digits
rng = random.Random(7)


def chars(count: int, alphabet: str = ALNUM) -> str:
    """Random characters, digits among them."""
    return "".join(rng.choices(alphabet, k=count - 4)) + "7a3b"


def upper(count: int) -> str:
    return "".join(rng.choices(string.ascii_uppercase + "234567", k=count))


def hexa(count: int) -> str:
    return "".join(rng.choices("0123456789abcdef", k=count))


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


SHAPES: dict[str, Callable[[], str]] = {
    "anthropic": lambda: "sk-ant-" + "api03-" + chars(90),
    "openrouter": lambda: "sk-or-" + "v1-" + hexa(64),
    "openai": lambda: "sk-" + chars(48),
    "openai project": lambda: "sk-" + "proj-" + chars(120),
    "google": lambda: "AI" + "za" + chars(35),
    "groq": lambda: "gsk" + "_" + chars(52),
    "xai": lambda: "xai" + "-" + chars(80),
    "huggingface": lambda: "hf" + "_" + chars(34),
    "replicate": lambda: "r8" + "_" + chars(37),
    "perplexity": lambda: "pplx" + "-" + chars(48),
    "fireworks": lambda: "fw" + "_" + chars(24),
    "aws": lambda: "AK" + "IA" + upper(16),
    "github": lambda: "gh" + "p_" + chars(36),
    "github fine": lambda: "github" + "_pat_" + chars(82),
    "gitlab": lambda: "gl" + "pat-" + chars(20),
    "slack": lambda: "xo" + "xb-" + "123456789012-" + chars(24),
    "stripe": lambda: "sk" + "_live_" + chars(24),
    "npm": lambda: "np" + "m_" + chars(36),
    "pypi": lambda: "py" + "pi-" + chars(100),
    "sendgrid": lambda: "S" + "G." + chars(22) + "." + chars(43),
    "twilio": lambda: "S" + "K" + hexa(32),
    "jwt": lambda: b64('{"alg":"HS256"}') + "." + b64('{"sub":"12345"}') + "." + chars(43),
    "telegram": lambda: "1234567890" + ":A" + "A" + chars(33),
    "digitalocean": lambda: "do" + "p_v1_" + hexa(64),
    "databricks": lambda: "dap" + "i" + hexa(32),
    "azure": lambda: "abc8" + "Q~" + chars(34),
}

PLACES = {
    "alone": "{}",
    "in a sentence": "use {}, please",
    "after a colon": '{{"k":"{}"}}',
    "after an escaped line end": '"line\\n{}\\nnext"',
    "in a string in a string": '"{{\\"key\\":\\"{}\\"}}"',
    "in a URL": "https://host/path?x={}&y=1",
    "percent-encoded before": "a%3D{}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SHAPES)
def test_known_shape_is_found_whole(kind: str, place: str) -> None:
    """The finding covers the whole token, wherever it stands."""
    secret = SHAPES[kind]().encode()
    data = PLACES[place].format(secret.decode()).encode()
    at = data.index(secret)
    assert any(found.start <= at and found.end >= at + len(secret) for found in scan(data))


CONTEXTS: dict[str, Callable[[], tuple[str, str]]] = {
    "url password": lambda: ("postgres://joe:{}@db:5432/x", chars(14)),
    "bearer": lambda: ("curl -H 'Authorization: Bearer {}'", chars(40)),
    "basic": lambda: ("Authorization: Basic {}", b64("joe:" + chars(12))),
    "aws secret": lambda: ("aws_secret_access_key = {}", chars(40)),
    "json password": lambda: ('{{"password": "{}"}}', chars(9)),
    "password in code": lambda: ("db.password = '{}'", chars(9)),
    "escaped json password": lambda: ('"{{\\"password\\": \\"{}\\"}}"', chars(9)),
    "env": lambda: ("DATADOG_API_KEY={}\n", hexa(30) + "1a"),
    "yaml": lambda: ("cloudflare_token: {}\n", chars(40)),
}


@pytest.mark.parametrize("kind", CONTEXTS)
def test_context_gives_a_secret_away(kind: str) -> None:
    """Values without a mark of their own are found by the name or scheme before them."""
    text, secret = CONTEXTS[kind]()
    data = text.format(secret).encode()
    assert data.index(secret.encode()) in [found.start for found in scan(data)]


@pytest.mark.parametrize("newline", ["\n", "\\n", "\\\\n"])
def test_private_key_is_found_in_every_escaping(newline: str) -> None:
    """Of a PEM block everything between the lines of dashes is the secret, line ends escaped or not."""
    lines = newline.join(chars(64) for _ in range(5))
    begin, end = "-----BEGIN " + "RSA PRIVATE KEY-----", "-----END " + "RSA PRIVATE KEY-----"
    data = f'"{begin}{newline}{lines}{newline}{end}"'.encode()
    (found,) = scan(data)
    assert found.start <= data.index(lines.encode()) and found.end >= data.index(lines.encode()) + len(lines)
    assert data[found.end :].startswith(end.encode())


HARMLESS = (
    '{"max_tokens": 100000, "id": "chatcmpl-9aBcDeFgHiJkLmNoPqRsTuVw", "call_id": "call_1a2b3c4d5e6f7g8h9i0j1k2l"}',
    '{"type":"thinking","signature":"' + base64.b64encode(rng.randbytes(300)).decode() + '"}',
    '{"encrypted_content":"gAAAAAB' + base64.urlsafe_b64encode(rng.randbytes(300)).decode() + '"}',
    '{"next_page_token": "CAUQAA1234567890abcdef", "prompt_cache_key": "0198f3a1-2222-7333-9444-555566667777"}',
    '<div class="sk-toggleable__content sk-estimator-doc-link"></div> the disk-and-task-manager-of-the-day',
    "token = self.tokenizer.get_next_token_of_stream(2)\npassword = os.environ['DATABASE_PASSWORD']",
    "https://user:pass@example.com and AKIAIOSFODNN7EXAMPLE and ${API_KEY} and Bearer {token}",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_is_left_alone(text: str) -> None:
    """Ids, signatures, encrypted reasoning, counts, code and documentation's examples are no secrets."""
    assert [(found.rule, text[found.start : found.end]) for found in scan(text.encode())] == []


def test_image_data_is_left_alone() -> None:
    """A megabyte of base64 holds nothing that looks like a credential."""
    assert scan(b'{"data":"' + base64.b64encode(random.Random(1).randbytes(750_000)) + b'"}') == []


def test_cut_end_counts_as_a_token() -> None:
    """Where the end is missing, the beginning of a token there is one; without `cut` it is not."""
    data = ("key " + "gh" + "p_" + "Ab12").encode()
    assert [data[f.start : f.end] for f in scan(data, cut=True)] == []  # `gh` is too short a mark
    data = ("key " + "gsk" + "_" + "Ab12").encode()
    assert [(f.start, f.end) for f in scan(data, cut=True)] == [(4, len(data))]
    assert scan(data) == []


def test_overlaps_are_joined() -> None:
    """No character of any finding is left over, and a tail is shown only where all allow it."""
    joined = merge([Finding(4, 9, "b", keep_tail=False), Finding(0, 5, "a"), Finding(20, 22, "c")])
    assert joined == [Finding(0, 9, "a", keep_tail=False), Finding(20, 22, "c")]


@pytest.mark.parametrize(
    "piece", ["token=", "sk-", "eyJaaaaaaaaaaaa.", ":A1", "Q~", "-us1", "://a:", "-----BEGIN PRIVATE KEY-----\n", "password"]
)
def test_hostile_text_costs_linear_time(piece: str) -> None:
    """Four times the text costs about four times the time, not sixteen."""

    def seconds(size: int) -> float:
        data = (piece * size).encode()[:size]
        best = float("inf")
        for _ in range(3):
            started = time.thread_time()
            scan(data)
            best = min(best, time.thread_time() - started)
        return best

    assert seconds(120_000) < 9 * seconds(30_000) + 0.02


@pytest.mark.skipif(not VECTORS.exists(), reason="the labelled secrets are not here")
def test_labelled_secrets() -> None:
    """Of the labelled secrets at least 99 of 100 are covered by findings."""
    missed = total = 0
    for data, secrets in labelled():
        if secrets == []:
            continue
        findings = scan(data)
        left = b"\0".join(pieces(data, findings))
        gone = bool(findings) if secrets is None else not any(secret.encode() in left for secret in secrets)
        total, missed = total + 1, missed + (not gone)
    assert missed / total < 0.01


def labelled() -> Iterator[tuple[bytes, list[str] | None]]:
    for line in lzma.decompress(VECTORS.read_bytes()).splitlines():
        vector = json.loads(line)
        yield vector["text"].encode("utf-8", "surrogatepass"), vector["secrets"]


def pieces(data: bytes, findings: list[Finding]) -> Iterator[bytes]:
    """What is left between the findings."""
    ends = [0, *(found.end for found in findings)]
    starts = [*(found.start for found in findings), len(data)]
    return (data[end:start] for end, start in zip(ends, starts, strict=True))


WORDS = [word.encode() for rule in read_rules(RULE_SETS) for word in rule.keywords]
PIECES = [*WORDS[::5], b"=", b'"', b": ", b"\\n", b"\n", b"a1b2c3d4e5f60718"]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=40), st.booleans())
def test_any_bytes_may_be_scanned(parts: list[bytes], cut: bool) -> None:
    """Nothing raises; findings are in order, without overlap, within the data, and without google-re2 they are the same."""
    data = b"".join(parts)
    findings = NATIVE_SCANNER.find(data, cut)
    assert all(0 <= found.start < found.end <= len(data) for found in findings)
    assert all(one.end <= other.start for one, other in pairwise(findings))
    assert findings == PLAIN_SCANNER.find(data, cut)
    assert NATIVE_SCANNER.find_shapes(data) == PLAIN_SCANNER.find_shapes(data)


@given(st.text(max_size=60), st.sampled_from(["password: '{}'", "token={}", "https://a:{}@b", "{}"]))
def test_no_character_is_cut_in_two(text: str, place: str) -> None:
    """What is left of a text is text."""
    data = place.format(text).encode("utf-8", "surrogatepass")
    for found in scan(data):
        data[: found.start].decode("utf-8", "surrogatepass")
        data[found.start : found.end].decode("utf-8", "surrogatepass")


@pytest.mark.skipif(not VECTORS.exists(), reason="the labelled secrets are not here")
def test_without_the_libraries_the_same_is_found() -> None:
    """In all labelled texts."""
    assert [NATIVE_SCANNER.find(data) for data, _ in labelled()] == [PLAIN_SCANNER.find(data) for data, _ in labelled()]


def test_exact_values_count() -> None:
    """Those that the scanner was made with, and those it is told later; the first scanner does not learn them."""
    scanner = Scanner((), ["first-secret-value"])
    knowing = scanner.knowing(["other/secret"]).knowing(["third-secret"])
    data = b'first-secret-value {"a": "other\\/secret"} third-secret'
    assert [data[f.start : f.end] for f in knowing.find(data)] == [b"first-secret-value", b"other\\/secret", b"third-secret"]
    assert knowing.find_shapes(data) == knowing.find(data)
    assert len(scanner.find(data)) == 1


def test_shapes_are_what_they_are_anywhere() -> None:
    """A token is one; a value that its name gives away, or a scheme before it, is none."""
    token, password = SHAPES["github"](), chars(12)
    data = f"{token} password: '{password}' Bearer {chars(30)}".encode()
    assert [f.rule for f in scan_shapes(data)] == ["github-token"]
    assert [f.rule for f in scan(data)] == ["github-token", "password", "authorization"]


def test_a_rule_without_keywords_is_searched_everywhere() -> None:
    """In pieces that hide nothing."""
    scanner = Scanner([Rule("r", "x[0-9]{6}y")])
    data = b"".join(b" " * 997 + b"x%06dy " % number for number in range(60))
    assert len(scanner.find(data)) == 60


def test_of_two_that_find_the_same_the_first_names_it() -> None:
    """Whatever the order of their keywords."""
    one, other = Rule("one", "ab[0-9]{3}", "anchored", ("ab",)), Rule("other", "ab[0-9]+", "anchored", ("a",))
    assert [f.rule for f in Scanner([one, other]).find(b" ab123 ")] == ["one"]
    assert [f.rule for f in Scanner([other, one]).find(b" ab123 ")] == ["other"]


def test_a_value_that_is_cut_counts() -> None:
    """What a name gives away at the very end, where the rest is missing."""
    data = b'{"api_key": "Ab3dE6'
    assert scan(data) == []
    assert [(f.start, f.end) for f in scan(data, cut=True)] == [(13, len(data))]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_is_bounded(piece: bytes, native: bool) -> None:
    """A megabyte's fifth of whatever keyword takes no second, with the libraries or without."""
    scanner = NATIVE_SCANNER if native else PLAIN_SCANNER
    data = (piece * 200_000)[:200_000]
    started = time.perf_counter()
    scanner.find(data)
    assert time.perf_counter() - started < (1 if native else 4)
