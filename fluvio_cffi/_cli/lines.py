"""What the library does, line by line, for -v."""

from __future__ import annotations

import logging
from typing import Final

from fluvio_cffi import logs

_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG, logs.TRACE)


def show(verbosity: int) -> None:
    """Write lines to standard error: 1: what has changed; 2: what is done; 3: each request; 0: none, since what a
    command cannot do it says itself."""
    if verbosity == 0:
        return
    logger = logging.getLogger("fluvio_cffi")
    lines = logging.StreamHandler()
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(lines)
    logger.setLevel(_LEVELS[min(verbosity, len(_LEVELS) - 1)])
