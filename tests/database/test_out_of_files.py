"""Opening a database when the process may not open another file."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from database.errors import DatabaseOutOfFiles
from database.open_files import count_open_files
from database.opening import open_database


@contextmanager
def files_left(files: int) -> Iterator[None]:
    """A `with` block in which only this many more files can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    fill = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest + 1 - count_open_files())]
    limit = max(int(path.name) for path in Path("/proc/self/fd").iterdir()) + files
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in fill:
            os.close(descriptor)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_database_that_cannot_be_opened_for_lack_of_files_is_not_missing(
    tmp_path: Path, left: int
) -> None:
    path = tmp_path / "x.sqlite"
    open_database(path).close()
    with files_left(left), pytest.raises(DatabaseOutOfFiles, match="limit of open files"):
        open_database(path, create=False)
    open_database(path, create=False).close()
