"""The layout is the architecture (DESIGN §1): these tests hold what no linter does, over the files as they are."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OWN_PACKAGES = {"addons", "scripts"}
MAX_FUNCTION_LINES = 60
MIN_TESTED_LINES = 30
"""A module of fewer lines is tested through the one that uses it."""

WITHOUT_MODULE = {"test_layout.py", "core/test_corpus.py", "core/test_corpus_score.py", "scripts/test_setup.py"}
"""Tests of the whole tree, or of a shell script, rather than of one module."""

WITHOUT_MIRROR = {"e2e", "sim", "bench"}
"""Folders whose files test or measure several modules at once."""

IMPURE = {"asyncio", "mitmproxy", "os", "pathlib", "socket", "sqlite3", "sqlite_utils", "subprocess", "tempfile", "threading", "time"}
CLOCKS = {"now", "utcnow", "today"}

SHIPPED = sorted(path for package in OWN_PACKAGES for path in (ROOT / package).rglob("*.py"))
CORE = [path for path in SHIPPED if path.is_relative_to(ROOT / "addons" / "core")]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module of a file, in full (`a.b` and, for `from a import b`, `a.b` too), with its line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_imports_are_absolute_and_never_of_the_entry(path: Path) -> None:
    """Nothing is imported relatively, and nothing imports addons.router, which mitmproxy loads as a script of its own."""
    wrong = [(name, line) for name, line in imports(path) if name.startswith(".") or within(name, "addons.router")]
    assert not wrong


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_is_pure(path: Path) -> None:
    """addons/core knows no proxy, database, clock, environment, file, or room outside core."""
    names = list(imports(path))
    wrong = [(name, line) for name, line in names if name.split(".")[0] in IMPURE]
    wrong += [(name, line) for name, line in names if name.split(".")[0] in OWN_PACKAGES and not within(name, "addons.core")]
    wrong += impure_calls(path)
    assert not [(name, line) for name, line in wrong if name != "addons"]


def impure_calls(path: Path) -> Iterator[tuple[str, int]]:
    """Calls of `open(…)` and of a clock (`datetime.now(…)`, `date.today()`)."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.Call(func=ast.Name(id="open")):
                yield "open", node.lineno
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=attr)):
                if owner in {"datetime", "date"} and attr in CLOCKS:
                    yield f"{owner}.{attr}", node.lineno


def test_nothing_in_addons_shadows_a_module() -> None:
    """mitmproxy leaves addons/ on sys.path: no file or folder directly in it bears the name of a module that somebody may import."""
    taken = set(sys.stdlib_module_names) | set(metadata.packages_distributions())
    own = {path.stem for path in (ROOT / "addons").iterdir() if not path.stem.startswith("_")}
    assert own.isdisjoint(taken), sorted(own & taken)


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    """No function is longer than a screen."""
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES}


def test_every_test_file_has_its_module() -> None:
    """tests/core/test_x.py tests addons/core/x.py; tests/scripts/test_x.py tests scripts/x.py; a folder's __init__ is test_init.py."""
    strangers = []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        place = test.relative_to(ROOT / "tests")
        if place.parts[0] in WITHOUT_MIRROR or place.as_posix() in WITHOUT_MODULE:
            continue
        base = ROOT if place.parts[0] == "scripts" else ROOT / "addons"
        stem = "__init__" if test.stem == "test_init" else test.stem.removeprefix("test_")
        if not (base / place.parent / f"{stem}.py").is_file():
            strangers.append(name_of(test))
    assert not strangers


def test_every_module_has_its_test_file() -> None:
    """Each module in addons/ that is more than a few lines has its mirror in tests/."""
    untested = []
    for module in (path for path in SHIPPED if path.is_relative_to(ROOT / "addons")):
        if module.name == "__init__.py" or len(module.read_text().splitlines()) <= MIN_TESTED_LINES:
            continue
        mirror = ROOT / "tests" / module.relative_to(ROOT / "addons").with_name(f"test_{module.name}")
        if not mirror.is_file():
            untested.append(name_of(module))
    assert not untested


def test_every_import_is_a_declared_dependency() -> None:
    """What shipped code imports stands in pyproject.toml itself, not only in what something else happens to bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    declared = {normal(re.split(r"[<>=!~;\[ ]", requirement)[0]) for requirement in requirements}
    distributions = metadata.packages_distributions()
    undeclared = set()
    for path in SHIPPED:
        for name, _ in imports(path):
            top = name.split(".")[0]
            if not top or top in sys.stdlib_module_names or top in OWN_PACKAGES:
                continue
            if not {normal(distribution) for distribution in distributions.get(top, [])} & declared:
                undeclared.add(f"{name_of(path)}: {top}")
    assert not undeclared


def normal(name: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_names_no_place() -> None:
    """requirements.lock holds versions and hashes, and nothing of the index or machine that it was made on."""
    text = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in text
    assert not re.findall(r"^(?!\s*#).*(?:://|--index|--extra-index|--find-links|\s@\s).*$", text, flags=re.MULTILINE)
    assert not re.findall(r"^# .*(?:://|/).*$", text, flags=re.MULTILINE)
