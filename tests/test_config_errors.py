"""How values are shown in errors."""

from __future__ import annotations

import secrets

import pytest

from addons.config_errors import ConfigError, looks_like_key, mask, show


@pytest.mark.parametrize(
    "make", [lambda: "sk-" + secrets.token_urlsafe(8), lambda: secrets.token_hex(16), lambda: "AIza" + secrets.token_hex(4)]
)
def test_keys_are_recognised_and_masked(make: pytest.FixtureRequest) -> None:
    """What has a key's shape is shown by its last four characters only."""
    key = make()  # type: ignore[operator]
    assert looks_like_key(key)
    assert show(key) == mask(key)
    assert key not in show(key)


@pytest.mark.parametrize(
    "text",
    [
        "OPENAI_API_KEY_2",
        "ask_usage",
        "mask",
        "task-description",
        "config/turnpike.yml",
        "api.openai.com",
        "gpt-4o-mini-2024-07-18",
        "https://openrouter.ai/api/v1",
    ],
)
def test_names_are_not_taken_for_keys(text: str) -> None:
    """Ordinary names are shown as they are."""
    assert show(text) == repr(text)


@pytest.mark.parametrize(("text", "plain"), [("OPENAI_API_KEY*", True), ("secrets/openai.key", True), ("2", True), ("hunter+2", False)])
def test_where_keys_stand_only_plain_names_are_shown(text: str, plain: bool) -> None:
    """There, what is neither a variable's name nor a path nor a number is masked whatever its shape."""
    assert (show(text, secret=True) == repr(text)) is plain


def test_a_short_secret_is_not_hinted_at() -> None:
    """Under 12 characters nothing is shown of it."""
    assert mask("k" * 11) == "… (masked)"
    assert mask("k" * 12) == "…kkkk (masked)"


def test_an_error_is_one_line() -> None:
    """Whatever goes in."""
    assert str(ConfigError("a\nb\r\n  c")) == "a b c"


@pytest.mark.parametrize(
    ("value", "shown"), [(True, "true"), (None, "nothing"), ({}, "a section"), ([1], "a list"), (1.5, "1.5"), ("a\nb", "'a\\nb'")]
)
def test_values_are_shown_as_the_file_has_them(value: object, shown: str) -> None:
    """YAML's words, not Python's."""
    assert show(value) == shown
