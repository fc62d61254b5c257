"""For calls without a reader of their own (api `other`): model and streaming where they stand as everywhere, and errors."""

from __future__ import annotations

from typing import Any

from addons.core.call import RequestReading
from addons.core.dialects.draft import AnswerDraft
from addons.core.jsonvalues import flag, text


def read_request(path: str, body: dict[str, Any]) -> RequestReading:
    return RequestReading(model=text(body, "model"), stream=flag(body, "stream"))


class OtherAnswer(AnswerDraft):
    """The error, if it is one; `finished` for a body that is whole JSON or a stream that said `[DONE]`."""
