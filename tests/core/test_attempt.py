"""One attempt, built from the client's untouched request."""

import gzip
import secrets

import pytest
from hypothesis import given as all_of
from hypothesis import strategies as st

from addons.core.attempt import (
    ACCOUNT_HEADERS,
    NONE,
    OWN,
    OWN_HEADERS,
    OWN_PREFIX,
    Credential,
    HeaderFields,
    NotSpoken,
    Request,
    Target,
    build,
    own_credential,
    strip_parameters,
    without_credentials,
    without_own,
)
from addons.core.peek import BodyFields
from addons.core.providers import identify
from addons.core.redaction.names import is_cookie_header, is_credential_header

SECRET = "sk-" + secrets.token_hex(16)
OWN_KEY = "sk-own-" + secrets.token_hex(16)


def request(path: str = "/v1/chat/completions", *headers: tuple[bytes, bytes], body: bytes = b'{"model":"a","x":1}') -> Request:
    """A client's request."""
    return Request("POST", "https", "api.openai.com", 443, path, headers, body)


def sent(given: Request, target: Target, credential: Credential = OWN, provider: str = "openai") -> Request:
    """What an attempt sends."""
    api = identify(provider, given.method, given.path)
    assert api
    return build(given, api, target, credential)


def test_goes_on_unchanged_without_a_base_url() -> None:
    """No base_url, no model, own credential: the request as it came."""
    given = request("/v1/chat/completions?a=1", (b"Authorization", b"Bearer x"), (b"X-B", b"1"))
    assert sent(given, Target("openai")) == given


def test_moves_to_the_target() -> None:
    """Scheme, host, port, path and query of the base URL; the body untouched."""
    out = sent(request("/v1/chat/completions?a=1"), Target("openrouter", "http://127.0.0.1:99/api/v1"))
    assert (out.scheme, out.host, out.port, out.path) == ("http", "127.0.0.1", 99, "/api/v1/chat/completions?a=1")
    assert out.body is request().body or out.body == request().body


@pytest.mark.parametrize(
    ("provider", "path", "header"),
    [
        ("openai", "/v1/chat/completions", (b"Authorization", b"Bearer " + SECRET.encode())),
        ("anthropic", "/v1/messages", (b"x-api-key", SECRET.encode())),
        ("gemini", "/v1beta/models/m:generateContent", (b"x-goog-api-key", SECRET.encode())),
        ("gemini", "/v1beta/openai/chat/completions", (b"Authorization", b"Bearer " + SECRET.encode())),
        ("azure", "/openai/v1/responses", (b"api-key", SECRET.encode())),
    ],
)
def test_key_goes_in_the_providers_own_way(provider: str, path: str, header: tuple[bytes, bytes]) -> None:
    """Every inbound credential is gone, `anthropic-version` stays, and the key stands where the provider looks for it."""
    inbound = [(name, OWN_KEY.encode()) for name in (b"Authorization", b"X-Api-Key", b"x-goog-api-key", b"API-KEY", b"Cookie")]
    given = request(f"{path}?key={OWN_KEY}&alt=sse", (b"anthropic-version", b"2023-06-01"), *inbound)
    out = sent(given, Target(provider), Credential("key", SECRET), provider)
    assert out.headers == ((b"anthropic-version", b"2023-06-01"), header)
    assert out.path == f"{path}?alt=sse"
    assert OWN_KEY not in repr(out)


def test_no_credential_at_all() -> None:
    """A candidate that the client did not name gets none of the client's credentials."""
    out = sent(request("/v1/chat/completions", (b"authorization", b"Bearer x"), (b"OpenAI-Organization", b"org")), Target("openai"), NONE)
    assert out.headers == ()


def test_our_own_and_the_proxys_headers_are_taken_off() -> None:
    """Nothing that was meant for us goes upstream."""
    ours = ((b"X-Upstream-Name", b"o"), (b"x-turnpike-tag", b"t"), (b"Proxy-Authorization", b"p"), (b"X-Turnpike-Replay", b"r"))
    assert sent(request("/v1/chat/completions", *ours, (b"X-Kept", b"1")), Target("openai")).headers == ((b"X-Kept", b"1"),)


def test_model_in_the_body() -> None:
    """A route's model name replaces the client's, and nothing else."""
    assert sent(request(), Target("openai", None, "b")).body == b'{"model":"b","x":1}'


def test_model_in_the_path() -> None:
    """Where the path names the model, it is replaced there."""
    given = request("/v1beta/models/a:generateContent", body=b"{}")
    assert sent(given, Target("gemini", None, "b/c"), provider="gemini").path == "/v1beta/models/b%2Fc:generateContent"


def test_model_in_a_compressed_body() -> None:
    """A compressed body whose model changes is sent on plain, without its Content-Encoding."""
    given = request("/v1/chat/completions", (b"Content-Encoding", b"gzip"), body=gzip.compress(b'{"model":"a"}'))
    out = sent(given, Target("openai", None, "b"))
    assert (out.headers, out.body) == ((), b'{"model":"b"}')


def test_a_family_that_is_not_spoken() -> None:
    """It is an error, not a call to a path that does not exist."""
    with pytest.raises(NotSpoken, match=r"openai has no ollama API"):
        sent(request("/api/chat"), Target("openai", "https://api.openai.com/v1"), provider="ollama")


def test_credential_is_never_shown() -> None:
    """A repr in a log or a traceback tells nothing."""
    assert SECRET not in repr(Credential("key", SECRET))


@pytest.mark.parametrize(
    ("headers", "path", "expected"),
    [
        (((b"Authorization", b"Bearer abc"),), "/", "abc"),
        (((b"Authorization", b"bearer  abc"),), "/", "abc"),
        (((b"x-api-key", b"abc"),), "/", "abc"),
        ((), "/x?a=1&key=abc", "abc"),
        (((b"Cookie", b"s=1"),), "/", ""),
        ((), "/", ""),
    ],
)
def test_own_credential(headers: tuple[tuple[bytes, bytes], ...], path: str, expected: str) -> None:
    """What the client sent as its key, wherever it put it."""
    assert own_credential(headers, path) == expected


def test_strip_parameters_keeps_the_rest_letter_for_letter() -> None:
    """Order and escapes of the other parameters stay."""
    assert strip_parameters("/x?b=%20&key=s&a") == "/x?b=%20&a"
    assert strip_parameters("/x?KEY=s") == "/x"
    assert strip_parameters("/x?") == "/x?"


def test_usage_is_asked_for_where_the_target_says_so() -> None:
    """In the body; and the answer must come plain, since a chunk is taken out of it. A compressed body is sent on plain."""
    given = request("/v1/chat/completions", (b"Accept-Encoding", b"gzip"), body=b'{"stream":true}')
    out = sent(given, Target("openai", ask_usage=True))
    assert out.asked_usage
    assert out.headers == ((b"Accept-Encoding", b"identity"),)
    assert out.body == b'{"stream_options":{"include_usage":true},"stream":true}'
    packed = request("/v1/chat/completions", (b"Content-Encoding", b"gzip"), body=gzip.compress(b'{"stream":true}'))
    assert sent(packed, Target("openai", ask_usage=True)).body == out.body
    garbled = request("/v1/chat/completions", (b"Content-Encoding", b"gzip"), body=b"no gzip")
    assert sent(garbled, Target("openai", ask_usage=True)) == garbled
    assert sent(request(), Target("openai", ask_usage=True)) == request()


def test_every_kind_of_credential_is_taken_off() -> None:
    """By their names, as they are masked in what is stored: whatever proxies, gateways and browsers use."""
    named = [b"Ocp-Apim-Subscription-Key", b"X-Auth-Token", b"cf-access-client-secret", b"Cookie"]
    headers = [
        *((name, OWN_KEY.encode()) for name in named),
        (b"Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{OWN_KEY}".encode()),
    ]
    out = sent(request(f"/v1/chat/completions?subscription-key={OWN_KEY}&%6bey={OWN_KEY}&a=1", *headers), Target("openai"), NONE)
    assert out.headers == ((b"Sec-WebSocket-Protocol", b"realtime"),)
    assert out.path == "/v1/chat/completions?a=1"


def test_nothing_secret_is_in_a_repr() -> None:
    """Of an attempt with its key, which a traceback might show."""
    assert SECRET not in repr(sent(request(), Target("openai"), Credential("key", SECRET)))


def test_the_model_is_replaced_where_it_stands() -> None:
    """Also when other parts of the path look like it, and where it is percent-encoded."""
    for path, expected in (
        ("/openai/deployments/chat/chat/completions", "/openai/deployments/new/chat/completions"),
        ("/openai/deployments/e/embeddings", "/openai/deployments/new/embeddings"),
    ):
        assert sent(request(path), Target("azure", None, "new"), provider="azure").path == expected
    api = identify("bedrock", "POST", "/model/anthropic.claude-v2%3A0/converse")
    assert api and api.model == "anthropic.claude-v2:0"


def test_what_was_put_in_is_told() -> None:
    """A body that names no model (a form, one that is not held) keeps the client's."""
    assert sent(request(), Target("openai", None, "b")).model == "b"
    assert sent(request(body=b"--form"), Target("openai", None, "b")).model is None


HEADER_NAMES = st.one_of(
    st.sampled_from(
        [*OWN_HEADERS, *ACCOUNT_HEADERS, b"X-Turnpike-Tag", b"Authorization", b"X-API-KEY", b"Cookie", b"Accept", b"\xff-Token"]
    ),
    st.binary(max_size=300),
)


@all_of(st.lists(st.tuples(HEADER_NAMES, st.binary(max_size=4)), max_size=5).map(tuple))
def test_what_is_known_of_a_name_is_what_its_rules_say(headers: HeaderFields) -> None:
    """However it is written, however long, asked for once or again."""

    def goes(name: bytes) -> bool:
        text = name.decode("latin-1")
        return name.lower() in ACCOUNT_HEADERS or is_credential_header(text) or is_cookie_header(text)

    for _ in range(2):
        ours = [pair for pair in headers if pair[0].lower() in OWN_HEADERS or pair[0].lower().startswith(OWN_PREFIX)]
        assert without_own(headers) == tuple(pair for pair in headers if pair not in ours)
        assert without_credentials(headers) == tuple(pair for pair in headers if pair not in ours and not goes(pair[0]))


@pytest.mark.parametrize("model", [None, "b"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","stream":true}',
        b'{"model":"a","stream":true,"stream_options":{"x":1}}',
        b'{"model":"a","stream":true,"stream_options":{"include_usage":true}}',
        b'{"model":"a","stream":true,"stream":false}',
        b'["stream"]',
        b'{"stream":',
        b"",
    ],
)
def test_what_was_read_before_need_not_be_read_again(body: bytes, packed: bool, model: str | None) -> None:
    """The same attempt comes of it."""
    headers = ((b"Content-Encoding", b"gzip"),) if packed else ()
    client = request("/v1/chat/completions", *headers, body=gzip.compress(body) if packed else body)
    api, target = identify("openai", "POST", client.path), Target("openai", None, model, ask_usage=True)
    assert api
    assert build(client, api, target, OWN, BodyFields(client).read) == build(client, api, target, OWN)
