"""InfinyOn Cloud, which this library does not log in to."""

from __future__ import annotations

import logging
from typing import Final, NoReturn

from ._errors import FluviorError

DEFAULT_REMOTE: Final = "https://infinyon.cloud"
logger: Final = logging.getLogger(__name__)
consoleHandler: Final = logging.StreamHandler()


def login(
    useOauth2: bool = True,
    remote: str = DEFAULT_REMOTE,
    profile: str | None = None,
    email: str | None = None,
    password: str | None = None,
) -> NoReturn:
    """Refuses: it needs a browser or a password, and a service of another company.

    :raises FluviorError: always. Log in with the ``fluvio`` program (``fluvio cloud login``): it writes the profile
        that :meth:`Fluvio.connect` reads.
    """
    raise FluviorError(
        f"fluvio_cffi does not log in to {remote}: run `fluvio cloud login`, which writes the profile that "
        "Fluvio.connect() reads"
    )
