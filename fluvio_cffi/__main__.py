"""``python -m fluvio_cffi``: the command line, as ``flv``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

MODULE = "python -m fluvio_cffi"


def main(arguments: Sequence[str] | None = None, *, program: str = MODULE) -> int:
    """Run a command.

    :param arguments: left out: those of the process.
    :param program: how it was called.
    :returns: the status to exit with.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if importlib.util.find_spec("click") is None or importlib.util.find_spec("rich") is None:
        from ._cli.plain import run
    else:
        from ._cli.main import run
    return run(given, program)


if __name__ == "__main__":
    sys.exit(main())
