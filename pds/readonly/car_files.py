"""Finding CAR files: named one by one, by directory or by pattern."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIX: Final = ".car"
CACHE: Final = ".holdfast-readonly"
"""The default directory of the stores: next to the CAR files."""


@dataclass(frozen=True, slots=True, order=True)
class CarFile:
    """The current state of a file. With the same size and time, it is taken to be unchanged."""

    path: Path
    size_bytes: int
    mtime_ns: int


def find_car_files(places: Iterable[str]) -> list[CarFile]:
    """Return the files of `places`, by path: files, directories (searched in depth) and patterns.

    Missing ones are left out.
    """
    paths = {os.path.realpath(path) for place in places for path in _iter_paths(place)}
    found = (_look_at(Path(path)) for path in paths)
    return sorted(file for file in found if file is not None)


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path, or a part of one, for people: bytes that are not text are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _iter_paths(place: str) -> Iterator[Path]:
    for path in [Path(place)] if Path(place).exists() else _matches(place):
        if path.is_dir():
            yield from _search(path)
        else:
            yield path


def _matches(pattern: str) -> list[Path]:
    start = Path(Path(pattern).anchor)
    try:
        return list(start.glob(str(Path(pattern).relative_to(start))))
    except ValueError:
        return []  # Such as `**` within a name, which cannot match anything.


def _search(directory: Path) -> Iterator[Path]:
    """Yield files below `directory`. Links to directories are not followed: they may be cyclic."""
    for root, directories, names in os.walk(directory):
        # The cache has thousands of directories, and no CAR files.
        directories[:] = [name for name in directories if name != CACHE]
        yield from (Path(root, name) for name in names if name.endswith(SUFFIX))


def _look_at(path: Path) -> CarFile | None:
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return CarFile(path, status.st_size, status.st_mtime_ns)
