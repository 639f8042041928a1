"""Runs a command, and says what became of it by the status to exit with: docs/cli.md lists them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from fluvio_cffi import AuthError, ConfigError, FluvioConnectionError, FluvioError, FluvioTimeoutError, TLSError

from .app import app, variable
from .settings import Failure, Settings, colours

FAILED: Final = 1
WRONG: Final = 2
INTERRUPTED: Final = 130


def run(arguments: Sequence[str], program: str) -> int:
    """Run a command; the status to exit with."""
    _open_streams()
    status = _run(arguments, Settings(program))
    try:
        sys.stdout.flush()
    except OSError:
        # What could not be written now cannot be written at the end of the interpreter, which would say so again.
        _forget_output()
    return status


def _run(arguments: Sequence[str], settings: Settings) -> int:
    try:
        status = _invoke(list(arguments), settings)
        sys.stdout.flush()
        return status
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.ClickException as error:
        _tell_wrong(settings, error)
        return WRONG
    except BrokenPipeError:
        # Whoever read the output has had enough. Nothing is left that could be told.
        _forget_output()
        return 0
    except FluvioError as error:
        _tell(settings, error, _advised(settings, error))
        return FAILED
    except (OSError, Failure) as error:
        _tell(settings, error, str(error))
        return FAILED


def _invoke(arguments: list[str], settings: Settings) -> int:
    asked_by = variable(settings.program)
    if asked_by in os.environ:
        app.main(arguments, settings.program, complete_var=asked_by, obj=settings)
    color = None if colours(sys.stdout) else False
    with app.make_context(settings.program, arguments, obj=settings, color=color) as context:
        status = app.invoke(context)
    return status if isinstance(status, int) else 0


def _open_streams() -> None:
    """What a shell has closed (``<&-``, ``>&-``) is there for Python, and leads nowhere."""
    nowhere: Any = sys
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(nowhere, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _forget_output() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


# -- errors


def _tell_wrong(settings: Settings, error: click.ClickException) -> None:
    if settings.output == "json":
        _tell(settings, error, error.format_message())
        return
    print(f"{settings.name}: {error.format_message()}", file=sys.stderr)
    context: click.Context | None = getattr(error, "ctx", None)
    if context is not None:
        print(f"'{context.command_path} --help' says what there is.", file=sys.stderr)


def _tell(settings: Settings, error: BaseException, message: str) -> None:
    if settings.output != "json":
        print(f"{settings.name}: {message}", file=sys.stderr)
        return
    document: dict[str, object] = {"error": type(error).__name__, "message": message}
    if isinstance(error, FluvioError):
        known = ("code", "retriable", "topic", "partition", "offset", "outcome")
        document |= {name: value for name in known if (value := getattr(error, name)) is not None}
    print(json.dumps(document, ensure_ascii=False), file=sys.stderr)


def _advised(settings: Settings, error: FluvioError) -> str:
    """An error in one line, with what to do where that is known."""
    message = " ".join(str(error).split())
    away = isinstance(error, FluvioConnectionError) and not isinstance(error, (TLSError, AuthError))
    late = isinstance(error, FluvioTimeoutError) and error.phase == "connect"
    if away or late:
        start = f"start a cluster with '{settings.program} cluster'"
        return f"{message}; {start}, or name another with -c HOST:PORT or --profile"
    if isinstance(error, ConfigError) and "profile" in message:
        return f"{message}; '{settings.program} profile add NAME HOST:PORT' adds one, -c HOST:PORT goes without"
    return message
