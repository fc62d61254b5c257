"""The kinds of value that the configuration has: sizes, host names, URLs, names. Each says what would be right."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from addons.config_errors import bad, looks_like_key, mask_if_key
from addons.core.providers import PROVIDER_NAMES
from addons.core.redaction.restore_text import Shape
from addons.core.routes import READY_MADE_BY_NAME, normal

ROOT = Path(__file__).resolve().parent.parent
"""The project's root: relative paths in the configuration start here."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_HOST_GLOB = re.compile(r"[a-z0-9._*?\[\]!:-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
_VAULT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_STATE_URL = re.compile(r"sqlite:.+|rediss?://.+")
_FALLBACK = frozenset({"rate_limit", "quota", "auth", "overloaded", "server", "connect", "timeout", "request", "stream"})
_STATUS = re.compile(r"[45](?:\d\d|xx)")
FOREVER, UNLIMITED = "forever", "unlimited"
UNLIMITED_BYTES = 2**63 - 1


def parse_size(value: object) -> int:
    """Bytes of `64 MiB`, `10 GB`, `100 kB` or a plain number. MiB is 1024 * 1024 bytes, MB a million."""
    found = _SIZE.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    unit = _UNITS.get(found[2].lower()) if found else None
    size = int(float(found[1]) * unit) if found and unit else 0
    if not size:
        raise bad("is no size; write bytes, or e.g. 64 MiB, 100 kB")
    return size


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise bad("should be a number")
    return value


def _days(value: object) -> object:
    if isinstance(value, str) and value.strip().lower() == FOREVER:
        return math.inf
    if isinstance(value, float) and not math.isfinite(value):
        raise bad(f"is no number of days; write e.g. 30, or {FOREVER}")
    return _no_bool(value)


def _kept_size(value: object) -> int:
    return UNLIMITED_BYTES if isinstance(value, str) and value.strip().lower() == UNLIMITED else parse_size(value)


def _lower_host(value: str) -> str:
    host = value.lower().rstrip(".")
    if not _HOST_GLOB.fullmatch(host) or re.search(r"[^:]:\d+$", host):
        raise bad("is no host name; write the name alone, without scheme, port or path, e.g. api.openai.com")
    return host


def _base_url(value: str) -> str:
    try:
        url = urlsplit(value)
        right = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and not re.search(r"\s", value)
    except ValueError:
        right = False
    if not right:
        raise bad("is no URL; write e.g. https://api.openai.com/v1")
    if "@" in url.netloc or url.query or url.fragment:
        raise bad("has more than scheme, host and path; keys belong in keys:")
    return value.rstrip("/")


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise bad("should be a path that begins with / and does not end with it, e.g. /proxy")
    return value


def _provider(value: str) -> str:
    if value not in PROVIDER_NAMES:
        known = ", ".join(sorted(PROVIDER_NAMES))
        raise bad(f"is no known provider; should be one of {known} (openai for anything compatible with it)")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value) or looks_like_key(value):
        raise bad("is no name of an environment variable; write the variable's name, never the key itself, e.g. env: OPENAI_API_KEY")
    return value


def _keyring_entry(value: str) -> str:
    service, _, user = value.partition("/")
    if not service or not user or looks_like_key(value):
        raise bad("is no entry of a keyring; write SERVICE/USER, never the key itself, e.g. keyring: turnpike/openai")
    return value


def is_vault_name(value: str) -> bool:
    """May a key in the vault be called so? What looks like a key itself may not: names are shown."""
    return bool(_VAULT_NAME.fullmatch(value)) and not looks_like_key(value)


def _vault_name(value: str) -> str:
    if not is_vault_name(value):
        raise bad("is no name of a key in the vault; write the name that `turnpike keys add NAME` gave it, never the key itself")
    return value


def _one_variable(value: str) -> str:
    if _variable(value).endswith("*"):
        raise bad("names several variables where one secret belongs; leave out the *")
    return value


def _project_path(value: Path) -> Path:
    return ROOT / value.expanduser()


def _state_url(value: str) -> str:
    if not _STATE_URL.fullmatch(value):
        raise bad("is no place for state; write sqlite:PATH or redis://…")
    kind, _, path = value.partition(":")
    return f"sqlite:{_project_path(Path(path))}" if kind == "sqlite" else value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _fallback_sign(value: object) -> str:
    if str(value) not in _FALLBACK and not _STATUS.fullmatch(str(value)):
        raise bad(f"is no failure class; should be one of {', '.join(sorted(_FALLBACK))}, a status, or e.g. 5xx")
    return str(value)


def _placeholder_shape(value: str) -> str:
    try:
        Shape(value)
    except ValueError as error:
        raise bad(f"is no shape of placeholders: {error}") from None
    return value


PlaceholderShape = Annotated[str, AfterValidator(_placeholder_shape)]
Size = Annotated[int, BeforeValidator(parse_size)]
Days = Annotated[float, BeforeValidator(_days), Field(gt=0)]
KeptSize = Annotated[int, BeforeValidator(_kept_size)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Port = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=65535)]
Host = Annotated[str, AfterValidator(_lower_host)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Prefix = Annotated[str, AfterValidator(_prefix)]
ProviderName = Annotated[str, AfterValidator(_provider)]
Variable = Annotated[str, AfterValidator(_variable)]
OneVariable = Annotated[str, AfterValidator(_one_variable)]
KeyringEntry = Annotated[str, AfterValidator(_keyring_entry)]
VaultName = Annotated[str, AfterValidator(_vault_name)]
ProjectPath = Annotated[Path, AfterValidator(_project_path)]
StateUrl = Annotated[str, AfterValidator(_state_url)]
FallbackSign = Annotated[str, BeforeValidator(_fallback_sign)]
Several = BeforeValidator(_several)
"""A single text where a list is meant."""


def named_upstreams(given: Any) -> Any:
    """Put each upstream's name into it; an empty one (`local:`) has all defaults."""
    if not isinstance(given, dict):
        return given
    return {name: _named_upstream(name, value) for name, value in given.items()}


def _named_upstream(name: Any, value: Any) -> Any:
    value = {} if value is None else value
    if not isinstance(value, dict):
        return value
    if value.get("name", name) != name:
        raise bad(f"holds {mask_if_key(str(name))} with another name: inside; the name is the one before the colon")
    provider = {"provider": name} if name in PROVIDER_NAMES else {}
    return provider | {"name": name} | {key: item for key, item in value.items() if item is not None}


def named_routes(given: Any) -> Any:
    if not isinstance(given, list | tuple):
        return given
    return [_named_route(n, route) for n, route in enumerate(given, 1)]


def _named_route(number: int, route: Any) -> Any:
    """A nameless one is called by its place; one with the name of a ready-made route has its strategy, unless it says otherwise."""
    if not isinstance(route, dict):
        return route
    given = {key: item for key, item in route.items() if item is not None}
    strategy = READY_MADE_BY_NAME.get(normal(str(given.get("name"))))
    return {"name": f"route {number}"} | ({"strategy": strategy} if strategy else {}) | given
