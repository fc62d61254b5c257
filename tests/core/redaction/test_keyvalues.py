"""Keys of credentials are known in every way of writing, and their values must look like one."""

from __future__ import annotations

import secrets

import pytest

from addons.core.redaction.keyvalues import PASSWORD_FIELD, SECRET_FIELD, credential, is_credential_key

VALUE = b"f7" + secrets.token_hex(8).encode()


@pytest.mark.parametrize(
    "key",
    [
        *("password", "DB_PASSWORD", "dbPassword", "user-password", "passwd", "pwd", "passphrase", "mysqlpassword"),
        *("api_key", "apiKey", "API-KEY", "X-API-Key", "openaiApiKey", "OPENAI_API_KEY", "apikey", "x-goog-api-key"),
        *("token", "access_token", "accessToken", "refresh_token", "id_token", "authToken", "GITHUB_TOKEN", "bearer", "jwt"),
        *("secret", "client_secret", "clientSecret", "AWS_SECRET_ACCESS_KEY", "aws_secret_access_key", "private_key", "signingKey"),
        *("authorization", "Authorization", "Proxy-Authorization", "credential", "credentials", "connectionString", "token_2"),
    ],
)
def test_credential_keys(key: str) -> None:
    """By the last word."""
    assert is_credential_key(key.encode())
    assert credential(key.encode(), VALUE)


@pytest.mark.parametrize(
    "key",
    [
        *("max_tokens", "maxTokens", "tokens", "token_type", "token_count", "tokenizer", "prompt_tokens", "next_page_token", "pageToken"),
        *("nextPageToken", "eos_token", "pad_token", "input_token", "continuationToken", "cancellation_token", "public_key", "primary_key"),
        *("secret_name", "secretary", "password_field", "authored", "author", "cache_key", "key", "keys", "monkey", "passage", "keyboard"),
        *("credentials_file", "authorization_url", "x" * 200 + "password"),
    ],
)
def test_other_keys(key: str) -> None:
    """Counts, positions, names of things."""
    assert credential(key.encode(), VALUE) is None


@pytest.mark.parametrize(
    "value",
    [
        *("hunter2", "required", "string", "Passwort vergessen?", "your-api-key-1", "YOUR_API_KEY_1", "example-key-1", "xxxxxxxxxxxxxxx1"),
        *("${API_KEY_1}", "{{ api_key_1 }}", "<api-key-1>", "%(api_key_1)s", "process.env.API_KEY1", "os.environ['KEY1']", "***abc1234"),
        *(
            "/run/secrets/key1",
            "C:\\secrets\\key1",
            "https://host/path1",
            "env:API_KEY_1",
            "user_password",
            "OPENAI_API_KEY",
            "11111111",
            "sk-...1234",
        ),
        *("bytes:\\xf0\\x9f", "$MY_VARIABLE", "changeme1"),
    ],
)
def test_values_that_are_none(value: str) -> None:
    """Short words, sentences, stand-ins, references, paths, names."""
    assert credential(b"api_key", value.encode()) is None
    assert credential(b"password", value.encode()) is None


def test_a_scheme_is_no_part_of_it() -> None:
    """`Bearer` stays; of what is encoded as Basic no end may be shown."""
    found = credential(b"Authorization", b"Bearer " + VALUE)
    assert found and (found.start, found.end, found.rule, found.keep_tail) == (7, 7 + len(VALUE), SECRET_FIELD, True)
    found = credential(b"Authorization", b"Basic " + VALUE)
    assert found and (found.start, found.keep_tail) == (6, False)


def test_passwords_may_hold_anything_but_blanks() -> None:
    """Quotes and letters of all scripts; nothing of one is shown."""
    found = credential(b"password", 'geheim"ö\\12'.encode())
    assert found and (found.rule, found.keep_tail) == (PASSWORD_FIELD, False)
    assert credential(b"password", b"two words 12") is None
