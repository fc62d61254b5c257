"""What bringing secrets back costs the event loop per streamed chunk: `python -m tests.bench.restoring`.

Prints microseconds per chunk, medians of many rounds, beside a callable that does nothing: streams without a placeholder (what
nearly every answer is), with one cut over every few chunks, and chunks whose text ends like the beginning of one.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable

from addons.core.redaction.placeholders import PlaceholderMaps
from addons.core.redaction.restoring import stream_restorer

CHUNK = '{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}],"usage":null}'
GEMINI = '{"candidates":[{"content":{"parts":[{"text":"%s"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":7}}'
ANTHROPIC = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}'
CHUNKS, ROUNDS, SECRETS = 2000, 40, 20

MAP = PlaceholderMaps(secrets.token_bytes(32)).map_for("client", "conversation", 0)
MADE = [MAP.placeholder(secrets.token_hex(20)) for _ in range(SECRETS)]
PAIRS = MAP.snapshot()

FORMS: dict[str, tuple[str, str, Callable[[str], bytes]]] = {
    "openai.chat": ("openai.chat", "text/event-stream", lambda text: b"data: %b\n\n" % (CHUNK % text).encode()),
    "anthropic.messages": (
        "anthropic.messages",
        "text/event-stream",
        lambda text: b"event: content_block_delta\ndata: %b\n\n" % (ANTHROPIC % text).encode(),
    ),
    "gemini array": ("gemini.generate", "application/json", lambda text: b",\r\n" + (GEMINI % text).encode()),
    "ollama.chat": ("ollama.chat", "application/x-ndjson", lambda text: b'{"message":{"content":"%b"},"done":false}\n' % text.encode()),
}

TEXTS: dict[str, list[str]] = {
    "no placeholder": [" word"],
    "a likely end": [" FAQ", " word"],
    "one in five chunks": ["a " + MADE[0][:7], MADE[0][7:12], MADE[0][12:] + " b", " word", " word"],
}


def per_chunk_us(take: Callable[[bytes], object], chunks: list[bytes]) -> float:
    """Microseconds per chunk of one answer."""
    start = time.perf_counter()
    for chunk in chunks:
        take(chunk)
    return (time.perf_counter() - start) / len(chunks) * 1e6


def main() -> None:
    """Alternate, and print medians."""
    for name, (api, content_type, form) in FORMS.items():
        for kind, texts in TEXTS.items():
            chunks = [form(text) for text in texts] * (CHUNKS // len(texts))
            chunks[0] = chunks[0].replace(b",\r\n", b"[", 1)
            base, cost = [], []
            for _ in range(ROUNDS):
                restorer = stream_restorer(api, content_type, PAIRS, "text_and_tools")
                base.append(per_chunk_us(bytes, chunks))
                cost.append(per_chunk_us(restorer.feed if restorer else bytes, chunks))
            passing, restoring = statistics.median(base), statistics.median(cost)
            print(f"{name:20} {kind:20} {restoring:6.2f} µs per chunk; passed on: {passing:5.2f} µs")


if __name__ == "__main__":
    main()
