"""The options of ``produce`` and ``consume`` that name SmartModules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from fluvio_cffi import Lookback, SmartModule

from .parameters import FILE, OFFSET, PAIR, SMARTMODULE, SPAN

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option("--smartmodule", "--sm", type=SMARTMODULE, help="The name of a SmartModule of the cluster."),
    click.option("--smartmodule-path", "--sm_path", type=FILE, help="A file with the code of a SmartModule."),
    click.option("--aggregate-initial", "--a-init", metavar="TEXT", help="The first value of an aggregate."),
    click.option("-e", "--params", type=PAIR, multiple=True, help="A parameter of the SmartModule; may be repeated."),
    click.option("--lookback-last", type=OFFSET, help="How many records the SmartModule is shown first."),
    click.option("--lookback-age", type=SPAN, help="And of which age at most."),
    click.option(
        "-t", "--transforms", "--transforms-file", type=FILE, help="YAML or JSON: SmartModules, one after the other."
    ),
    click.option(
        "--transforms-line", "--transform", multiple=True, metavar="JSON", help="One of them; may be repeated."
    ),
)


def smartmodules(function: F) -> F:
    """Gives a command the options of :func:`chain`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def chain(options: dict[str, Any]) -> tuple[SmartModule, ...]:
    """Takes these options out of `options`: the SmartModules that they name."""
    name, path = options.pop("smartmodule"), options.pop("smartmodule_path")
    initial, params = options.pop("aggregate_initial"), dict(options.pop("params"))
    last, age = options.pop("lookback_last"), options.pop("lookback_age")
    file, lines = options.pop("transforms"), options.pop("transforms_line")
    sources = {"--smartmodule": name, "--smartmodule-path": path, "--transforms": file, "--transforms-line": lines}
    given = [option for option, value in sources.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} are given: SmartModules are named by one of them")
    if given not in (["--smartmodule"], ["--smartmodule-path"]):
        if initial is not None or params or last is not None or age is not None:
            raise click.UsageError("what a SmartModule is given needs --smartmodule or --smartmodule-path")
        return SmartModule.load_transforms(file or lines) if given else ()
    lookback = Lookback(last or 0, age) if last is not None or age is not None else None
    return (SmartModule(name, path=path, params=params, initial=initial, lookback=lookback),)
