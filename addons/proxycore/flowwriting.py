"""What mitmproxy writes into flow files (`-w`, the command `save.file`) is shown to us first: `FlowWriter.add` and
`FilteredFlowWriter.add` write what `install`'s function makes of a flow. Both write unfinished flows at shutdown too, after our own
rooms are done: so nothing is ever taken out again.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import cast

from mitmproxy import flow, flowfilter
from mitmproxy.addons.save import Save
from mitmproxy.io import FilteredFlowWriter, FlowWriter

logger = logging.getLogger(__name__)

Shown = Callable[[flow.Flow], flow.Flow]

RESTS_ON = (FlowWriter, FilteredFlowWriter)
"""Whose `add` takes a flow, calls its `get_state` and writes that."""

WRITERS = ("FilteredFlowWriter", "FlowWriter")
"""The names by which `Save` reaches them."""

_stock_add = FlowWriter.add


def broken_pins() -> list[str]:
    """What of mitmproxy's internals is not as this module needs it; empty when all is well."""
    found = {owner.__name__: list(inspect.signature(owner.__dict__["add"]).parameters) for owner in RESTS_ON}
    source = inspect.getsource(Save)
    return [f"{name}.add takes {parameters}" for name, parameters in found.items() if parameters != ["self", "f"]] + [
        f"Save does not use io.{name}" for name in WRITERS if f"io.{name}(" not in source
    ]


def install(shown: Shown) -> None:
    """From now on what `shown` gives is written instead of a flow. Raises RuntimeError where this mitmproxy is not the one it was
    written for. A flow for which `shown` raises is not written."""
    if wrong := broken_pins():
        raise RuntimeError(f"this mitmproxy does not write flow files as 12.2 does: {'; '.join(wrong)}")

    def write(writer: FlowWriter | FilteredFlowWriter, f: flow.Flow) -> None:
        try:
            instead = shown(f)
        except Exception as error:  # whatever it is, an unmasked flow is not written; the text may hold what is to be hidden
            logger.error("flow %s not written to the file, since it can't be masked: %s", f.id, type(error).__name__)
            return
        _stock_add(cast(FlowWriter, writer), instead)

    def add(self: FlowWriter, f: flow.Flow) -> None:
        write(self, f)

    def add_filtered(self: FilteredFlowWriter, f: flow.Flow) -> None:
        if self.flt and not flowfilter.match(self.flt, f):
            return
        write(self, f)
        self.fo.flush()

    FlowWriter.add = add  # type: ignore[method-assign]
    FilteredFlowWriter.add = add_filtered  # type: ignore[method-assign]
