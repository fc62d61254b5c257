"""Datasette 0.65 leaves a SQLite connection open when it is imported, which pytest would blame on whatever test comes first."""

from __future__ import annotations

import gc
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)
    import addons.views.serving  # noqa: F401 # for what its import leaves behind

    gc.collect()
