"""The FILE of a command: a path, or `-` for standard input or output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import click
import orjson

from pds.car.errors import CarToolError
from pds.car.repo_file import RepoFile
from pds.cli.car.failures import naming
from pds.cli.failures import note
from pds.cli.progress import progress_bars
from pds.reporting import Progress, printable

F = TypeVar("F", bound=Callable[..., None])

STANDARD: Final = "-"


def file_argument(name: str = "file") -> Callable[[F], F]:
    """Declare the argument for a CAR to read."""
    # Not checked for existence here: that would make it a usage error. Opening it shows.
    return click.argument(name, metavar=name.upper())


class DirectoryType(click.Path):
    """The type of a directory to write to, which cannot be standard output."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path. Refuses `-`."""
        if value == STANDARD:
            self.fail(
                "files cannot be written to standard output: name a directory, or ./- for one of "
                "that name",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def open_repo(file: str, progress: Progress) -> RepoFile:
    """Open a CAR and index it."""
    if file == STANDARD:
        return RepoFile.read(sys.stdin.buffer, progress)
    return RepoFile.open(Path(file), progress)


@contextmanager
def opened_repo(file: str) -> Iterator[RepoFile]:
    """Open a CAR for a `with` block, and prefix errors there with its name.

    Progress bars end before the block begins, since it may write to the same terminal.
    """
    with naming(file):
        with progress_bars() as progress:
            repo = open_repo(file, progress)
        with repo:
            yield repo


def write_stdout(parts: Iterable[bytes]) -> None:
    """Write data to standard output."""
    out = sys.stdout.buffer
    for part in parts:
        out.write(part)
    out.flush()


def write_lines(lines: Iterable[str]) -> None:
    """Write lines for people to standard output, escaping what strangers put into them.

    They are not flushed one by one: there may be millions.
    """
    write_stdout(f"{printable(line)}\n".encode() for line in lines)


def write_json_lines(values: Iterable[object]) -> None:
    """Write values for programs, one per line, unflushed as in `write_lines`."""
    write_stdout(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)


def write_notes(lines: Iterable[str]) -> None:
    """Write remarks on a success to standard error."""
    for line in lines:
        note(line)


def binary_stdout() -> BinaryIO:
    """Return standard output for binary data. Refuses a terminal."""
    if sys.stdout.isatty():
        raise CarToolError("This is binary data: redirect standard output to a file or a pipe.")
    return sys.stdout.buffer
