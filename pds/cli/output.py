"""How commands print: tables and lines for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click
import orjson

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH: Final = 1_000

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object a line."
)


def print_json(value: object) -> None:
    """Print a value on one line."""
    click.echo(orjson.dumps(value))


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print `name: value` lines, the values below each other."""
    pairs = list(fields)
    width = max(len(name) for name, _ in pairs) + 2
    for name, value in pairs:
        click.echo(f"{name + ':':{width}}{value}")


def print_object(fields: Mapping[str, object], *, as_json: bool) -> None:
    """Print one thing with its fields, for a program or for a person."""
    if as_json:
        print_json(fields)
    else:
        print_fields(fields.items())


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Print a table; None is an empty cell."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As text, for what users wrote is no markup.
        table.add_row(*(Text(cell or "") for cell in row))
    console().print(table)


def console() -> Console:
    """Where tables go. Only a terminal has an edge to fold at: in a pipe a row is a line."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def counted(count: int, noun: str) -> str:
    """Such as `1 account`, `2 accounts`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
