"""Writes the reference of the command line, in docs/cli.md, from the commands themselves.

``--check``: only whether it is as they say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from fluvio_cffi._cli.app import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
MARK = "<!-- what follows is made by tools/cli_reference.py -->\n"


def sections(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    """What is said of a command, and of all below it."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"{'#' * min(depth, 4)} `{context.command_path}`\n"
    yield f"    {usage}\n"
    yield described(command.help or "")
    yield options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from sections(below, click.Context(below, parent=context, info_name=name), depth + 1)


def described(text: str) -> str:
    """A command's own words. What stands behind a `\\b` is laid out by hand."""
    parts: list[str] = []
    for paragraph in text.split("\n\n"):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        by_hand = bool(lines) and lines[0] == "\b"
        parts.append("\n".join(f"    {line}" for line in lines[1:]) if by_hand else " ".join(lines))
    return "\n\n".join(parts).rstrip() + "\n"


def options(command: click.Command, context: click.Context) -> str:
    rows: list[str] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            names, text = (part.replace("|", "\\|") for part in record)
            rows.append(f"| `{names}` | {text} |")
    return "\n".join(["| option | |", "|---|---|", *rows]) + "\n" if rows else ""


def main() -> int:
    before, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark, f"{PAGE} has no mark"
    context = click.Context(app, info_name="flv", **app.context_settings)
    reference = "\n".join(part for part in sections(app, context, 3) if part)
    page = f"{before}{mark}\n{reference}"
    if "--check" in sys.argv[1:]:
        same = page == PAGE.read_text(encoding="utf-8")
        if not same:
            print("docs/cli.md is not what the commands say: run tools/cli_reference.py", file=sys.stderr)
        return 0 if same else 1
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
