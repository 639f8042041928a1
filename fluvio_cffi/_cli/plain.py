"""The command line without the extra ``cli``: what needs no more than the package itself."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from fluvio_cffi import FluvioError, __version__

INSTALL = "pip install 'fluvio_cffi[cli]'"
_AVAILABLE = ("cluster", "demo")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def run(arguments: Sequence[str], program: str) -> int:
    """Run a command; the status to exit with."""
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    if arguments and first not in _AVAILABLE and not {"--version", "--help", "-h"} & set(arguments):
        what = "the command line" if first is None else repr(first)
        print(f"{_name(program)}: {what} needs click and rich: {INSTALL}", file=sys.stderr)
        return 2
    parser = _parser(program)
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    given = parser.parse_args(arguments)
    try:
        if given.command == "demo":
            from . import demo

            return demo.main(records=given.records)
        from . import embedded

        return embedded.run(
            data_dir=given.data_dir,
            host=given.host,
            port=given.port,
            spus=given.spus,
            tls=given.tls,
            profile=given.profile,
        )
    except FluvioError as error:
        print(f"{_name(program)}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _name(program: str) -> str:
    return "fluvio_cffi" if " " in program else program


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="The Fluvio client for Python.",
        epilog=f"All other commands come with {INSTALL}.",
    )
    parser.add_argument("--version", action="version", version=f"fluvio_cffi {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    cluster = commands.add_parser("cluster", help="run an embedded cluster until Ctrl-C")
    cluster.add_argument("--data-dir", metavar="DIR", help="where it keeps its files (default: temporary ones)")
    cluster.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    cluster.add_argument("--port", type=int, default=9003, help="the port; 0: any free one (default: %(default)s)")
    cluster.add_argument("--spus", type=int, default=1, help="how many SPUs it has (default: %(default)s)")
    cluster.add_argument(
        "--tls",
        nargs="?",
        const="server",
        choices=["server", "mutual"],
        help="serve over TLS, with certificates made in tls/ of its files; mutual: clients must show one, too",
    )
    cluster.add_argument(
        "--profile", metavar="NAME", help="write a profile of that name, for programs that look for one"
    )

    demo = commands.add_parser("demo", help="produce and consume on an embedded cluster, and say how fast it was")
    demo.add_argument("--records", type=int, default=200_000, help="how many each time (default: %(default)s)")
    return parser
