"""One of several proxies on a port: `python -m scripts.worker MODULE ARGUMENTS …` is what `python -m MODULE ARGUMENTS …` is alone."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

MITMDUMP = "mitmdump"
"""In place of a module: mitmproxy's own command."""


def as_worker(command: Sequence[str]) -> list[str]:
    """The command line of a proxy, as that of one of several."""
    if "-m" in command:
        place = command.index("-m") + 1
        return [*command[:place], "scripts.worker", *command[place:]]
    return [sys.executable, "-m", "scripts.worker", MITMDUMP, *command[1:]]


def main(arguments: Sequence[str]) -> None:
    """See the module's first line."""
    from mitmproxy.tools.main import mitmdump  # noqa: PLC0415 # whoever starts us has no use for mitmproxy

    from addons.proxycore.reuseport import share_port  # noqa: PLC0415 # as above

    module, *rest = arguments
    try:
        share_port()
    except RuntimeError as error:
        raise SystemExit(f"turnpike: {error}") from error
    if module == MITMDUMP:
        sys.argv = [str(Path(sys.executable).parent / MITMDUMP), *rest]
        mitmdump(list(rest))
    else:
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
