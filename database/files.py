"""Files that are not databases: written atomically and made durable.

All functions wait for the disk.
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
"""errno values for a full disk or an exhausted quota."""
_BUFFER_BYTES: Final = 1024 * 1024


def has_no_space(exc: OSError) -> bool:
    """Whether the disk was full or the quota exhausted."""
    return exc.errno in NO_SPACE


@contextmanager
def no_space_as(error: Callable[[OSError], Exception]) -> Iterator[None]:
    """Translate an `OSError` for a full disk with `error`, and raise the result."""
    try:
        yield
    except OSError as exc:
        if has_no_space(exc):
            raise error(exc) from exc
        raise


@contextmanager
def replacing(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the `with` block ends without an error.

    Both the file and its name are synced by then. `mode` applies to a new file, less the umask.
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
    """Replace a small ASCII file atomically. On failure, such as a full disk, the old one stays.

    Does not sync: the system writes it to disk eventually.
    """
    new = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        new.write_text(text, "ascii")
        new.replace(path)


def sync(path: Path) -> None:
    """fsync a file's contents, or a directory's entries."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
