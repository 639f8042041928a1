"""The program ``flv``.

It stands beside the package: to import anything of that is to import all of it, which ``flv --version`` has no use for.
"""

from __future__ import annotations

import os
import sys

VERSION = "0.1.0"


def main() -> int:
    """What the program does; the status that it exits with."""
    if sys.argv[1:] == ["--version"]:
        print(f"fluvio_cffi {VERSION}")
        return 0
    from fluvio_cffi.__main__ import main

    return main(program=os.path.basename(sys.argv[0]))


if __name__ == "__main__":
    sys.exit(main())
