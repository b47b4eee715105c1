"""Where the processes of a server listen to each other: sockets that only its own user reaches."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FIRST: Final = "first"


@contextmanager
def private_directory() -> Iterator[Path]:
    """Make a directory for sockets that only this user can enter, for a `with` block.

    It is not in the data directory, because the path of a socket has room for 107 bytes only.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def socket_of(directory: Path, worker: int | None) -> Path:
    """Return the socket of a worker, by its number, or of the first process."""
    return directory / (_FIRST if worker is None else str(worker))
