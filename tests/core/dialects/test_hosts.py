"""Public hosts and whose they are."""

import pytest

from addons.core.dialects.hosts import HOSTS, provider_of
from addons.core.providers import PROVIDERS


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("API.OpenAI.com.", "openai"),
        ("api.writer.com:443", "writer"),
        ("mine.openai.azure.com", "azure"),
        ("us-east5-aiplatform.googleapis.com", "vertex"),
        ("bedrock-runtime.eu-central-1.amazonaws.com:443", "bedrock"),
        ("bedrock-agent-runtime.us-east-1.amazonaws.com", None),
        ("us-south.ml.cloud.ibm.com", "watsonx"),
        ("evil-api.openai.com.example.org", None),
        ("localhost:8000", "local"),
        ("", None),
    ],
)
def test_provider_of(host: str, provider: str | None) -> None:
    """By the whole name, in any case, with or without a port."""
    assert provider_of(host) == provider


def test_every_provider_with_paths_has_a_host() -> None:
    """What the table of providers knows is recognised by its public host."""
    assert set(PROVIDERS) <= {provider for _, provider in HOSTS}
