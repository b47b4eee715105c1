"""Files that are not databases: written whole or not at all, and made durable.

All of it waits for the disk.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of the operating system for a disk or a quota without room."""
_BUFFER_BYTES: Final = 1024 * 1024


def has_no_space(exc: OSError) -> bool:
    """Whether a disk or a quota had no room."""
    return exc.errno in NO_SPACE


@contextmanager
def no_space_as(error: Callable[[OSError], Exception]) -> Iterator[None]:
    """Raise what `error` makes of an `OSError` that says there is no room."""
    try:
        yield
    except OSError as exc:
        if has_no_space(exc):
            raise error(exc) from exc
        raise


@contextmanager
def replacing(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends without an error.

    It is on disk by then, and so is its name. `mode` is that of a new file, less the umask.
    """
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb", buffering=_BUFFER_BYTES) as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync(path.parent)


def try_to_replace(path: Path, text: str) -> None:
    """Write a small file of ASCII whole. Where that fails, as on a full disk, the old one stays.

    The system puts it on disk when it likes.
    """
    new = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        new.write_text(text, "ascii")
        new.replace(path)


def sync(path: Path) -> None:
    """Make the bytes of a file durable, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
