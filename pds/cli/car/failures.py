"""How the CAR tools fail: with a message that says what is wrong, and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Final, NoReturn, ParamSpec

from pds.car.errors import CarToolError
from pds.cli.failures import CommandFailed
from repo.car import InvalidCar
from repo.mst import MstError
from repo.syntax import InvalidSyntax
from repo.verify import InvalidRepo

P = ParamSpec("P")

DAMAGED: Final = (InvalidCar, InvalidRepo, MstError)
"""The errors of reading a CAR that are due to its contents."""
_BROKEN_PIPE: Final = 128 + 13
"""The exit status of programs ended by SIGPIPE."""


def fail(message: str, *, status: int = 1) -> NoReturn:
    """End the command with a message."""
    raise CommandFailed(message, status=status)


def explained(*, status: int = 1) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a command end with `status` and a message for anything its user can correct."""

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                command(*args, **kwargs)
                sys.stdout.flush()
            except BrokenPipeError:
                # The reader is gone, as with `| head`. Buffered output must not be written at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(_BROKEN_PIPE)
            except (*DAMAGED, CarToolError, InvalidSyntax) as exc:
                fail(str(exc), status=status)
            except OSError as exc:
                where = f"{exc.filename}: " if exc.filename is not None else ""
                fail(f"{where}{exc.strerror or exc}", status=status)
            except Exception as exc:
                if not _is_full_disk(exc):
                    raise
                fail(str(exc), status=status)

        return run

    return decorate


@contextmanager
def naming(file: str) -> Iterator[None]:
    """Prefix errors in the block with the name of the file."""
    try:
        yield
    except DAMAGED as exc:
        raise CarToolError(f"{file}: {exc}") from exc


def _is_full_disk(exc: Exception) -> bool:
    """Return whether a temporary database found no space. Imports SQLite only when asked."""
    from database.errors import DatabaseError

    return isinstance(exc, DatabaseError)
