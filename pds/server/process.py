"""A process that serves: its limits, its threads and its garbage collector."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from database.open_files import MIN_LIMIT, REMEDY, limit_of_open_files

_GC_THRESHOLDS: Final = (10_000, 20, 20)
"""Allocations per young collection, young per middle one, and middle ones per full one."""

_THREADS_COMPUTE_S: Final = 0.0005
"""How long a thread computes before the event loop gets the interpreter back.

The loop gives it up whenever it waits for SQLite or a socket, many times per request: with
Python's default of 5 ms, one import makes 1% of all requests take 70 ms; with this value, 20 ms.
"""


_FILES_PER_WORKER: Final = 4


class TooFewFiles(Exception):
    """The process may not open as many files as a server needs; the message says how many."""


def raise_file_limit() -> None:
    """Raise the limit of open files as far as the system allows: actor stores take three each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def require_files(workers: int = 1) -> None:
    """Raise `TooFewFiles` if a server cannot work with the limit of open files.

    The limit is one for each process, and each of several has connections to all others.
    """
    limit = limit_of_open_files()
    needed = MIN_LIMIT + (_FILES_PER_WORKER * workers if workers > 1 else 0)
    if limit < needed:
        raise TooFewFiles(
            f"The limit of open files is {limit}. The server needs {needed}, and serves many "
            f"accounts well from some thousands on: {REMEDY}."
        )


def tune_garbage_collector() -> None:
    """Exempt what lives as long as the process (schemas, code, settings) from garbage collection.

    Requests make few cycles, so collections may also be rarer than by default.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


@contextmanager
def prompt_threads() -> Iterator[None]:
    """Let the event loop go on soon while threads compute, for a `with` block."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_THREADS_COMPUTE_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
