"""Files that callers name."""

from __future__ import annotations

import os
from pathlib import Path

from fluvio_cffi._errors import ConfigError
from fluvio_cffi._failures import os_failure

from .checks import shown, wrong_type


def contents(path: str | os.PathLike[str]) -> bytes:
    """What is in the file that is given as ``path``."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        why = f"path is {str(path)!r}, which cannot be read: {error.strerror}"
        raise os_failure(error, why, ConfigError) from error
    except TypeError as error:
        raise wrong_type("path", "a str or os.PathLike", path) from error
    except ValueError as error:
        raise ConfigError(f"path is {shown(path)}, which cannot be read: {error}") from error
