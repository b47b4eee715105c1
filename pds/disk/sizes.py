"""Summing the sizes of files, in a thread: some microseconds each, minutes on a large server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from actor_store.layout import ActorLayout
from database.wal import wal_path

ShouldStop: TypeAlias = Callable[[], bool]
"""Called repeatedly; returns whether the result is no longer needed."""


class MeasuringStopped(Exception):
    """The server is stopping, so the sum is no longer needed."""


@dataclass(slots=True, frozen=True)
class FileTotals:
    """The number and total size of some files."""

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: FileTotals) -> FileTotals:
        return FileTotals(self.count + other.count, self.size_bytes + other.size_bytes)


@dataclass(slots=True, frozen=True)
class DatabaseTotals:
    """The number and total sizes of some databases; `size_bytes` excludes their WALs."""

    count: int = 0
    size_bytes: int = 0
    wal_bytes: int = 0


def measure_database(path: Path) -> DatabaseTotals:
    """Measure one database, with three system calls."""
    size = _size(path)
    return DatabaseTotals(0 if size is None else 1, size or 0, _size(wal_path(path)) or 0)


def measure_actor_stores(layout: ActorLayout, should_stop: ShouldStop) -> DatabaseTotals:
    """Measure the databases of all actors.

    Raises `MeasuringStopped`, and `OSError` if a directory cannot be read.
    """
    count = size_bytes = wal_bytes = 0
    for _, store in layout.iter_directories():
        if should_stop():
            raise MeasuringStopped
        one = measure_database(Path(store))
        count += one.count
        size_bytes += one.size_bytes
        wal_bytes += one.wal_bytes
    return DatabaseTotals(count, size_bytes, wal_bytes)


def measure_tree(
    directory: Path, should_stop: ShouldStop, *, without: Path | None = None
) -> FileTotals:
    """Measure all files below a directory except those below `without`; zero if it is missing.

    Raises `MeasuringStopped`.
    """
    count = size_bytes = 0
    for entry in _iter_files(directory, should_stop, without):
        with suppress(FileNotFoundError):  # Deleted since.
            size_bytes += entry.stat(follow_symlinks=False).st_size
            count += 1
    return FileTotals(count, size_bytes)


def count_files(
    directory: Path, should_stop: ShouldStop, *, without: Path | None = None
) -> tuple[int, bool]:
    """Count the files that `measure_tree` would find; return also whether all were counted."""
    count = 0
    try:
        for _ in _iter_files(directory, should_stop, without):
            count += 1
    except MeasuringStopped:
        return count, False
    return count, True


def _iter_files(
    directory: Path, should_stop: ShouldStop, without: Path | None
) -> Iterator[os.DirEntry[str]]:
    excluded = None if without is None else str(without.resolve())
    directories = [str(directory.resolve())]
    while directories:
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            os.scandir(directories.pop()) as found,
        ):
            for entry in found:
                if should_stop():
                    raise MeasuringStopped
                if not entry.is_dir(follow_symlinks=False):
                    yield entry
                elif entry.path != excluded:
                    directories.append(entry.path)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, PermissionError):
        return None
