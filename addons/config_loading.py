"""From a YAML file to plain values, and from whatever is wrong in it to one line that says where and what to do.

    text ── read_document ──► Document (as written, with line numbers)
         ── expand ─────────► plain values with ${NAME} taken from the environment
         ── explain ────────► a pydantic error as a ConfigError

The models are not known here; they are in `addons/config.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from addons.config_errors import UNKNOWN_SETTING, ConfigError, mask_if_key, show, wording
from addons.keysources import Secret, SourceError, Sources

if TYPE_CHECKING:
    from addons.config import Source

Loc = tuple[str | int, ...]
"""The steps to a value: ("routes", 0, "match", "model")."""

DATABASE = "${TURNPIKE_DB:-data/turnpike.db}"
UPSTREAMS_VARIABLE = "TURNPIKE_UPSTREAMS"
_MISSING = object()
_SECRET_SECTIONS = frozenset({"keys", "strings", "passphrase"})
_REFERENCE = re.compile(r"\$\{([^}]*)\}?")
_REFERENCE_BODY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Document:
    """A configuration as it was written. `tree` has the upstreams of TURNPIKE_UPSTREAMS merged in; `added` tells which."""

    name: str
    tree: dict[str, Any]
    lines: Mapping[Loc, int]
    added: Mapping[str, int]

    def value(self, loc: Loc) -> object:
        """What is written there; `_MISSING` where nothing is."""
        value: Any = self.tree
        for step in loc:
            if isinstance(value, str):
                return value  # a single text where a list is meant
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return _MISSING
        return value

    def shown(self, loc: Loc) -> str:
        """The value as written, before ${NAME} was replaced, so that nothing from the environment is shown."""
        value = self.value(loc)
        return "missing" if value is _MISSING else show(value, secret=not _SECRET_SECTIONS.isdisjoint(loc))

    def error(self, loc: Loc, text: str, watched: Iterable[Path] = ()) -> ConfigError:
        """The error at this place."""
        where, name, line = loc, self.name, self.lines.get(loc)
        if loc[:1] == ("upstreams",) and len(loc) > 1 and loc[1] in self.added:
            where, name = (self.added[str(loc[1])], *loc[2:]), UPSTREAMS_VARIABLE
        dotted = ".".join(mask_if_key(str(step)) for step in where)
        place = f"{dotted} (line {line})" if line else dotted
        return ConfigError(f"{name}: {place}: {text}" if place else f"{name}: {text}", watched)


def find_file(path: str | Path | None, environ: Mapping[str, str], root: Path) -> Path:
    """The file to read: the one named, else TURNPIKE_CONFIG, else the shipped one; seen from the working folder, else from `root`."""
    named = Path(path or environ.get("TURNPIKE_CONFIG") or root / "config/turnpike.yml").expanduser()
    return named.absolute() if named.exists() else root / named


def read_document(path: Path, name: str, environ: Mapping[str, str]) -> Document:
    """Read the file and TURNPIKE_UPSTREAMS. Raises ConfigError: unreadable, not YAML, a key given twice, a name clash."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file; name one with --config, --set turnpike_config=PATH or TURNPIKE_CONFIG", [path]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 at byte {error.start}; save it as UTF-8", [path]) from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}; name a readable file", [path]) from None
    tree, lines = _parse(text, name)
    document = Document(name, tree, lines, {})
    return _add_upstreams(document, environ[UPSTREAMS_VARIABLE]) if environ.get(UPSTREAMS_VARIABLE) else document


def _parse(text: str, name: str) -> tuple[dict[str, Any], dict[Loc, int]]:
    """YAML 1.2, where `off` and `on` are words, not booleans. Returns the values and the line of each place."""
    try:
        constructor, _ = YAML(typ="safe", pure=True).get_constructor_parser(text)
        node = constructor.composer.get_single_node()
        if node is None:
            return {}, {}
        document = Document(name, {}, lines := {}, {})
        for loc, line in _lines(node, (), frozenset(), document):
            lines[loc] = line
        tree = constructor.construct_document(node)
    except MarkedYAMLError as error:
        raise ConfigError(_yaml_problem(error, text, name)) from None
    except YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {type(error).__name__}; remove what is not text") from None
    except (ValueError, RecursionError) as error:  # a date that is none, a number that is none, nesting without end
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name}: a value is not what it looks like ({type(error).__name__}); put quotes around texts") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{name}: {show(tree)} where sections belong; write e.g. proxy: and upstreams:")
    return tree, lines


def _yaml_problem(error: MarkedYAMLError, text: str, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    written = text.splitlines()[mark.line : mark.line + 1] if mark else []
    remedy = 'put quotes around "${…}" inside [ ] and { }' if "${" in "".join(written) else "mend the YAML there"
    problem = str(error.problem or error.context)
    where = f" (line {mark.line + 1})" if mark else ""
    return f"{name}: not YAML{where}: {mask_if_key(problem)}; {remedy}"


def _lines(node: Node, loc: Loc, above: frozenset[int], document: Document) -> Iterator[tuple[Loc, int]]:
    """Each place and its line, from 1. Raises ConfigError for a name given twice and for an alias inside itself."""
    if id(node) in above:
        raise document.error(loc, "refers to itself; write the value out")
    above |= {id(node)}
    if isinstance(node, MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line, name = key.start_mark.line + 1, str(key.value)
            if name in seen:
                lines = {(*loc, name): line}
                raise replace(document, lines=lines).error((*loc, name), f"given twice, on lines {seen[name]} and {line}; keep one")
            seen[name] = line
            yield (*loc, name), line
            yield from _lines(value, (*loc, name), above, document)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield (*loc, index), item.start_mark.line + 1
            yield from _lines(item, (*loc, index), above, document)


def _add_upstreams(document: Document, text: str) -> Document:
    """Merge the JSON list of TURNPIKE_UPSTREAMS into the upstreams of the file."""
    try:
        entries = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{UPSTREAMS_VARIABLE}: not JSON at character {error.pos}; write a list of objects") from None
    upstreams = document.tree.get("upstreams") or {}
    if not isinstance(entries, list) or not isinstance(upstreams, dict):
        raise ConfigError(f"{UPSTREAMS_VARIABLE}: {show(entries)}; should be a list of upstream objects with a name")
    merged, added = dict(upstreams), {}
    for index, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise ConfigError(f"{UPSTREAMS_VARIABLE}: {index}: {show(entry)}; should be an object with a name")
        if name in merged:
            what = f"{UPSTREAMS_VARIABLE}: {index}.name: {show(name)} is an upstream already; give it another name"
            raise ConfigError(what)
        merged[name], added[name] = {key: value for key, value in entry.items() if key != "name"}, index
    return Document(document.name, document.tree | {"upstreams": merged}, document.lines, added)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{UPSTREAMS_VARIABLE}: {show(name)} is given twice in one object; keep one")
    return dict(pairs)


def expand(document: Document, environ: Mapping[str, str]) -> dict[str, Any]:
    """The values with ${NAME} and ${NAME:-default} replaced in every text. Raises ConfigError for an unset bare one."""
    tree: dict[str, Any] = _expand(_with_defaults(document.tree), (), document, environ)
    return tree


def _with_defaults(tree: dict[str, Any]) -> dict[str, Any]:
    """The one default that is itself a reference, where the file has none."""
    capture = {} if tree.get("capture") is None else tree["capture"]
    if not isinstance(capture, dict) or capture.get("database") is not None:
        return tree
    return tree | {"capture": capture | {"database": DATABASE}}


def _expand(value: Any, loc: Loc, document: Document, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        for name in value:
            if "${" in str(name):
                raise document.error((*loc, name), "${…} stands in a name; use it in values only")
        return {name: _expand(item, (*loc, name), document, environ) for name, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, (*loc, index), document, environ) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda found: _referenced(found, loc, document, environ), value)


def _referenced(found: re.Match[str], loc: Loc, document: Document, environ: Mapping[str, str]) -> str:
    body = _REFERENCE_BODY.fullmatch(found[1])
    if body is None or not found[0].endswith("}"):
        raise document.error(loc, f"{document.shown(loc)} is no reference; write ${{NAME}} or ${{NAME:-default}}")
    name, default = body[1], body[2]
    value = environ.get(name)
    if default is not None:  # as in a shell, an empty variable counts as unset here
        return value or default
    if value is None:
        shown = mask_if_key(name)
        raise document.error(loc, f"environment variable {shown} is not set; set it, or write ${{{shown}:-default}}")
    return value


def explain(document: Document, error: ValidationError) -> ConfigError:
    """The first of what pydantic found, in one line."""
    first = error.errors(include_url=False)[0]
    loc = first["loc"]
    if first["type"] == UNKNOWN_SETTING:
        return document.error((*loc, first["ctx"]["key"]), wording(first))
    if loc[-1:] == ("[key]",):  # so pydantic points at a name
        return document.error(loc[:-1], "has a name that is no text; put quotes around it")
    return document.error(loc, f"{document.shown(loc)} {wording(first)}")


def resolve_all(document: Document, loc: Loc, listed: Iterable[Source], sources: Sources, *, shortest: int = 1) -> tuple[Secret, ...]:
    """The values of a list of sources that stands at `loc`, in order; one that comes twice is taken once. Raises ConfigError, also for
    a value of fewer than `shortest` characters."""
    found: dict[str, Secret] = {}
    for index, source in enumerate(listed):
        try:
            for secret in sources.resolve(source):
                if len(secret.value) < shortest:
                    raise SourceError(
                        f"holds {len(secret.value)} characters; write {shortest} or more, since what is shorter stands in any text"
                    )
                found.setdefault(secret.value, secret)
        except SourceError as error:
            raise document.error((*loc, index, source.place), str(error)) from None
    return tuple(found.values())
