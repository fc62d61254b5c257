"""A bar on a terminal for what takes longer than a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

QUIET_S = 1.0
"""What takes no longer needs no bar."""

Progress = Callable[[int], None]
"""Called with how much of the whole is done."""


@contextmanager
def progress(label: str, length: int) -> Iterator[Progress]:
    """On stderr; none where nobody looks, or where it is done at once."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    shown: list[Any] = []
    begun = time.monotonic()
    with ExitStack() as stack:

        def advance(done: int) -> None:
            if not shown and time.monotonic() - begun > QUIET_S:
                shown.append(stack.enter_context(click.progressbar(length=length, label=label, file=sys.stderr)))
            if shown:
                shown[0].update(done - shown[0].pos)

        yield advance
