"""Captures, filled once and only read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.scripts.exporting.samples import fill


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests; not to be written."""
    path = tmp_path_factory.mktemp("captures") / "turnpike.db"
    fill(path)
    return path


@pytest.fixture
def captures(filled: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copy(filled, tmp_path / "turnpike.db"))
