"""Files that are there whole or not at all, and never half instead of what was there before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from database.files import replacing


@contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends without an error.

    It is on disk by then. A device or a named pipe is written directly.
    """
    # What a link leads to is replaced, not the link.
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    with replacing(path) as file:
        yield file
