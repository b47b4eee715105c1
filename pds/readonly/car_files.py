"""Which CAR files there are: named one by one, by directory or by pattern."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIX: Final = ".car"


@dataclass(frozen=True, slots=True, order=True)
class CarFile:
    """A file as it is now. One whose size and time are the same is taken to be unchanged."""

    path: Path
    size_bytes: int
    mtime_ns: int


def find_car_files(places: Iterable[str]) -> list[CarFile]:
    """The files of `places`, by path: files, directories (searched in depth) and patterns.

    What is not there (any more) is left out.
    """
    paths: set[Path] = set()
    for place in places:
        path = Path(place)
        if path.is_dir():
            paths.update(path.rglob(f"*{SUFFIX}"))
        elif path.exists():
            paths.add(path)
        else:
            start = Path(path.anchor)
            paths.update(start.glob(str(path.relative_to(start)) if path.anchor else place))
    found = (_look_at(path.resolve()) for path in paths)
    return sorted({file for file in found if file is not None})


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path, or a part of one, for people: bytes that are no text are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _look_at(path: Path) -> CarFile | None:
    try:
        status = path.stat()
    except OSError:
        return None
    if not path.is_file():
        return None
    return CarFile(path, status.st_size, status.st_mtime_ns)
