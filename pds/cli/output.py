"""How commands print: tables and lines for people, JSON for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click
import orjson

from pds.reporting import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPE_WIDTH: Final = 1_000

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object per line."
)


def print_json(value: object) -> None:
    """Print a value on one line."""
    click.echo(orjson.dumps(value))


def say(text: str, *, err: bool = False) -> None:
    """Print a line for people, with strangers' text escaped."""
    click.echo(printable(text), err=err)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print `name: value` lines with aligned values."""
    pairs = list(fields)
    width = max(len(name) for name, _ in pairs) + 2
    for name, value in pairs:
        say(f"{name + ':':{width}}{value}")


def print_faults(faults: Iterable[str]) -> None:
    """Print what is wrong, a line each, or that nothing is."""
    lines = [f"Wrong: {fault}" for fault in faults] or ["Nothing is wrong."]
    for line in lines:
        say(line)


def print_object(fields: Mapping[str, object], *, as_json: bool) -> None:
    """Print one object with its fields, for a program or for a person."""
    if as_json:
        print_json(fields)
    else:
        print_fields(fields.items())


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Print a table; None is an empty cell. If it is too wide, each row takes several lines."""
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell or "") for cell in row] for row in rows]
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        # As text: what users wrote is not markup.
        table.add_row(*map(Text, row))
    out = console()
    if fits(table, out):
        out.print(table)
        return
    out.print(Text(title, style="italic"))
    for first, *rest in cells:
        out.print()
        out.print(Text(first or "-", style="bold"), soft_wrap=True)
        items = [f"{name} {cell}" for name, cell in zip(columns[1:], rest, strict=True) if cell]
        for line in packed(items, width=out.width):
            out.print(Text(line), soft_wrap=True)


def packed(items: Iterable[str], *, width: int) -> Iterator[str]:
    """Yield indented lines of as many items as fit. No item is broken, however long it is."""
    line = ""
    for item in items:
        longer = f"{line}   {item}" if line else f"  {item}"
        if line and len(longer) > width:
            yield line
            longer = f"  {item}"
        line = longer
    if line:
        yield line


def fits(table: Table, out: Console) -> bool:
    """Return whether the table fits without breaking a cell."""
    from rich.measure import Measurement

    unbounded = out.options.update(max_width=_PIPE_WIDTH)
    return Measurement.get(out, unbounded, table).maximum <= out.width


def console() -> Console:
    """Return the console for tables. Only a terminal has a width; in a pipe, a row is a line.

    COLUMNS in the environment gives a pipe a width, too.
    """
    from rich.console import Console

    has_edge = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    # Without emojis, since part of a did:key:z… could be taken for one.
    return Console(width=None if has_edge else _PIPE_WIDTH, highlight=False, emoji=False)
