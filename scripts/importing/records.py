"""What an imported exchange is: an LLM call or none, whose, from which client; the same words as for a call that was proxied."""

from __future__ import annotations

from addons.config import Config
from addons.core.addressing import product_of, session_of
from addons.core.call import AttemptRecord, CallRecord
from addons.core.captured import decoded, header
from addons.core.dialects.shapes import api_of
from addons.core.failures import failure_of
from addons.core.ids import is_ulid
from addons.core.providers import PROVIDER_NAMES, Api, identify

OTHER = "other"


def find_call(record: CallRecord, config: Config) -> bool:
    """Is this an LLM call, by its host and path or by the shape of its bodies? Then the record says so from here on."""
    upstream = config.upstream_for_host(record.host)
    api = identify(upstream.provider, record.method, record.path) if upstream else None
    if api is None or api.name == OTHER:
        shape = _shape_of(record)
        if api is None and shape is None:
            return False
        provider, name = shape or (None, OTHER)
        api = api if api and name == OTHER else _named(name, record)
        record.provider = provider
    if upstream:
        record.upstream, record.provider = upstream.name, upstream.provider
    record.api, record.asked_model = api.name, api.model
    return True


def _shape_of(record: CallRecord) -> tuple[str | None, str] | None:
    answer = header(record.response.headers, "content-type")
    return api_of(record.method, record.host, record.path, decoded(record.request), decoded(record.response), answer)


def _named(name: str, record: CallRecord) -> Api:
    """The API of that name; with the model where some provider's path of this form holds one (Azure, Gemini, Bedrock)."""
    readings = (identify(provider, record.method, record.path) for provider in PROVIDER_NAMES)
    return next((api for api in readings if api and api.name == name), Api(name, "openai", record.path))


def add_client_facts(record: CallRecord) -> None:
    """What the request's headers say, as Scope reads them of a call that runs; and the one try that it was."""
    headers = {name.lower(): value for name, value in record.request.headers}
    record.user_agent = headers.get("user-agent")
    record.client = product_of(record.user_agent)
    record.session = session_of(headers)
    record.tag = headers.get("x-turnpike-tag")
    replayed = headers.get("x-turnpike-replay", "")
    record.replay_of = replayed if is_ulid(replayed) else None
    failure = "connect" if record.status is None else failure_of(record.status)
    attempt = AttemptRecord(1, record.upstream, record.host, status=record.status, failure=failure, duration_ms=record.duration_ms)
    record.attempts = [attempt]
