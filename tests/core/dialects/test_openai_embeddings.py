"""Embeddings: model and usage, however long the vectors are."""

from __future__ import annotations

import json
import random

from addons.core.call import Message, Part, Usage
from addons.core.dialects import answer_reader, read_request

SOURCE = random.Random(3)
VECTORS = [{"object": "embedding", "index": n, "embedding": [SOURCE.random() for _ in range(800)]} for n in range(40)]
BODY = json.dumps({"object": "list", "data": VECTORS, "model": "e", "usage": {"prompt_tokens": 7, "total_tokens": 7}}).encode()


def test_long_bodies_are_read_without_their_vectors() -> None:
    """Hundreds of kilobytes of numbers, whole or with the middle missing, give the same as a short body."""
    for gap in (False, True):
        reader = answer_reader("openai.embeddings", "application/json", 200)
        reader.feed(BODY[:100_000])
        if gap:
            reader.resume()
        reader.feed(BODY[-50_000:] if gap else BODY[100_000:])
        reading = reader.finish()
        assert (reading.usage, reading.model, reading.finished) == (Usage(input_tokens=7), "e", not gap)
        assert reading.messages == ()


def test_a_total_alone_is_the_input() -> None:
    """Voyage says only the total."""
    reader = answer_reader("openai.embeddings", "application/json", 200)
    reader.feed(b'{"data": [], "model": "v", "usage": {"total_tokens": 12}}')
    assert reader.finish().usage == Usage(input_tokens=12)


def test_inputs_are_parts_of_one_message() -> None:
    """N inputs in one request count as one message."""
    reading = read_request("openai.embeddings", "/v1/embeddings", b'{"model": "e", "input": ["a", "b"]}')
    assert (reading.model, reading.messages) == ("e", (Message("user", (Part("text", "a"), Part("text", "b"))),))
