"""Loads what is known of models: genai-prices' table, and our own of capabilities (`config/models.yml`).

The two take a third of a second, so that they are loaded in a thread of their own, and only where a route asks for them. A call that
comes before they are there is decided without (`core/modeldata.py`: nothing is known yet).
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from addons.config_types import ROOT
from addons.core.modeldata import Entry, ModelData, read_entries
from addons.core.pricing import find_in_table

logger = logging.getLogger(__name__)

FILE = ROOT / "config" / "models.yml"


class ModelTables(ModelData):
    """Model data that is loaded when it is first wanted. Called on the event loop, but for the loading itself."""

    def __init__(self, file: Path = FILE) -> None:
        super().__init__()
        self._file = file
        self.loading: threading.Thread | None = None

    def want(self) -> None:
        """Begin to load, if nobody has yet. Does not wait."""
        if self.loading is None:
            self.loading = threading.Thread(target=self._load, name="turnpike-models", daemon=True)
            self.loading.start()

    def _load(self) -> None:
        """A table that cannot be read is left out, and said once; a proxy without it decides as if nothing were known."""
        find_in_table("openai", "gpt-4o")  # what loads it
        try:
            entries = read_file(self._file)
        except (OSError, ValueError) as error:
            logger.error("capabilities of models are not known: %s", error)
            entries = ()
        self.adopt(entries)


def read_file(file: Path) -> tuple[Entry, ...]:
    """The entries of a table of capabilities. Raises OSError, or ValueError with the file's name."""
    try:
        return read_entries(YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")))
    except (YAMLError, ValueError) as error:
        raise ValueError(f"{file.name}: {' '.join(str(error).split())}") from None
