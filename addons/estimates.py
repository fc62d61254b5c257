"""POST {prefix}/v1/token-count and {prefix}/v1/cost-estimate: what a call would take, before it is made (DESIGN §4).

Counting, and the first loading of encodings and prices, run in a thread of their own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mitmproxy import http

from addons.answers import answer_json, refuse
from addons.core.encodings import UndecodableBody, decode
from addons.core.estimate_requests import MalformedField, ToCount, read_cost, read_count, read_object
from addons.core.tokens import Counter, encoding_for
from addons.exchange import exchange_of
from addons.state import State

logger = logging.getLogger(__name__)

Answer = dict[str, Any]


class Estimates:
    """Each method answers one request; the coroutine that it gives ends when the answer is there."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def token_count(self, flow: http.HTTPFlow) -> None:
        """`{model?, text | messages | input | prompt | contents, system?, tools? …}` → model, encoding, input_tokens, source."""
        await self._answer(flow, self._count)

    async def cost_estimate(self, flow: http.HTTPFlow) -> None:
        """`{model, provider?, input_tokens | messages …, output_tokens? | max_tokens?}` → the same with `cost_usd`, null where unknown."""
        await self._answer(flow, self._cost)

    def too_long(self, flow: http.HTTPFlow) -> None:
        """For a body that mitmproxy would not hold."""
        limit = self.state.config.proxy.max_held_body
        refuse(flow, exchange_of(flow), 413, "body_too_large", f"the body is longer than {limit} bytes (proxy.max_held_body)")

    async def _answer(self, flow: http.HTTPFlow, work: Callable[[bytes], Answer]) -> None:
        """A hook that raises would send the request on (DESIGN §2.1), so whatever goes wrong becomes an answer."""
        exchange = exchange_of(flow)
        try:
            request = flow.request
            answer = await asyncio.to_thread(_worked, work, request.raw_content or b"", request.headers.get("content-encoding"))
            answer_json(flow, 200, answer)
        except MalformedField as error:
            refuse(flow, exchange, 400, "invalid_request", str(error), param=error.field or None)
        except UndecodableBody as error:
            refuse(flow, exchange, 400, "invalid_request", f"the body cannot be decoded: {error}")
        except LookupError as error:
            refuse(flow, exchange, 503, "estimate_unavailable", str(error))
        except Exception as error:
            logger.error("an estimate failed: %s", type(error).__name__)
            refuse(flow, exchange, 500, "internal_error", "the estimate failed; the proxy's log names the error")

    def _count(self, content: bytes) -> Answer:
        asked = read_count(read_object(content))
        tokens = self._tokens(asked)
        return {"model": asked.model, "encoding": encoding_for(asked.model), "input_tokens": tokens, "source": "estimated"}

    def _tokens(self, asked: ToCount) -> int:
        """Raises LookupError where the encoding cannot be loaded."""
        counter = Counter(self.state.tokenizer(encoding_for(asked.model)), asked.model)
        return counter.text(asked.text) if asked.text is not None else counter.input(asked.api, asked.request, asked.body or {})

    def _cost(self, content: bytes) -> Answer:
        """`provider` may also be the name of an upstream."""
        asked = read_cost(read_object(content))
        usage = replace(asked.usage, input_tokens=self._tokens(asked.count)) if asked.count else asked.usage
        provider = self.state.config.providers.get(asked.provider or "", asked.provider)
        cost = self.state.prices.cost(provider, [asked.model], usage, time.time_ns() // 1_000_000)
        return {
            "model": asked.model,
            "provider": provider,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "tokens_source": "estimated" if asked.count else "given",
            "cost_usd": cost,
            "cost_source": None if cost is None else "priced",
        }


def _worked(work: Callable[[bytes], Answer], content: bytes, encoding: str | None) -> Answer:
    return work(decode(content, encoding))
