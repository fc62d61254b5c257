"""Names that carry credentials are told from names that only hold the same words."""

from __future__ import annotations

import pytest

from addons.core.redaction.names import header_kind, is_cookie_header, is_credential_header, is_credential_parameter

CREDENTIAL_HEADERS = (
    "Authorization Proxy-Authorization x-api-key api-key X-Goog-Api-Key x-auth-token X-Amz-Security-Token Private-Token "
    "apikey x-subscription-key Ocp-Apim-Subscription-Key X-Client-Secret x-vault-token"
)
OTHER_HEADERS = (
    "x-ratelimit-remaining-tokens x-ratelimit-limit-tokens anthropic-ratelimit-input-tokens-remaining openai-organization "
    "x-amzn-bedrock-input-token-count x-time-per-token "
    "anthropic-ratelimit-tokens-reset content-type x-request-id x-goog-api-client anthropic-version x-ratelimit-reset-token"
)
CREDENTIAL_PARAMETERS = (
    "key api_key api-key apikey access_token token sig signature X-Amz-Signature X-Amz-Credential password code client_secret"
)
OTHER_PARAMETERS = "beta alt pageToken next_page_token model tokens max_tokens keyword X-Amz-Date"


@pytest.mark.parametrize("name", CREDENTIAL_HEADERS.split())
def test_credential_header(name: str) -> None:
    """Such a header's whole value is a credential."""
    assert is_credential_header(name) and is_credential_header(name.upper())


@pytest.mark.parametrize("name", OTHER_HEADERS.split())
def test_other_header(name: str) -> None:
    """Counts of tokens and the like are no credentials."""
    assert not is_credential_header(name)


@pytest.mark.parametrize("name", CREDENTIAL_PARAMETERS.split())
def test_credential_parameter(name: str) -> None:
    """Such a query parameter's value is a credential."""
    assert is_credential_parameter(name)


@pytest.mark.parametrize("name", OTHER_PARAMETERS.split())
def test_other_parameter(name: str) -> None:
    """Paging tokens and settings are not."""
    assert not is_credential_parameter(name)


def test_cookie_headers() -> None:
    """Both directions, in any case."""
    assert is_cookie_header("Cookie") and is_cookie_header("set-cookie") and not is_cookie_header("x-cookie")


def test_kinds_of_headers() -> None:
    """A cookie before a credential, a credential before words of the protocol."""
    kinds = {
        "Set-Cookie": "COOKIE",
        "X-Api-Key": "CREDENTIAL",
        "Content-Type": "PROTOCOL",
        "X-Note": "TEXT",
        "x-stainless-token": "CREDENTIAL",
    }
    assert {name: header_kind(name).name for name in kinds} == kinds
