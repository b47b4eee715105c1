"""Output files that are written atomically."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from database.files import replacing


@contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the `with` block ends without an error.

    It is synced by then. A device or a named pipe is written directly.
    """
    # Replace the target of a link, not the link.
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    with replacing(path) as file:
        yield file
