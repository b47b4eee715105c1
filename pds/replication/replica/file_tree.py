"""Files below a directory, reached without following symbolic links out of it.

All functions wait for the disk and raise `OSError`.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from pds.replication.replica.names import is_finished
from pds.replication.replica.place import StoredFile

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_TRIES: Final = 5


@contextmanager
def directory_of(root: Path, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the directory of a file; give its descriptor and the last part of the name.

    `make` creates missing directories below `root`, though never `root`: without a mounted disk,
    the files would land on another one.
    """
    *parts, last = name.split("/")
    descriptor = os.open(root, _DIRECTORY)
    try:
        for part in parts:
            descriptor = _enter(descriptor, part, make=make)
        yield descriptor, last
    finally:
        os.close(descriptor)


def _enter(parent: int, part: str, *, make: bool) -> int:
    """Open a directory in place of its parent, which is closed when it succeeds."""
    try:
        child = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(part, 0o700, dir_fd=parent)
        os.fsync(parent)
        child = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    os.close(parent)
    return child


def open_to_read(root: Path, name: str) -> int:
    """Open a regular file and return its descriptor."""
    with directory_of(root, name) as (directory, last):
        # Not blocking: a pipe of that name would wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(last, flags, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IsADirectoryError(f"{name} is no regular file")
    return descriptor


def replace(
    root: Path, name: str, fill: Callable[[int], None], *, timestamp_ms: int | None = None
) -> None:
    """Have `fill` write a file through a descriptor, and give it its name once it is on disk."""
    part = f".{secrets.token_hex(8)}.part"
    with _created(root, name, part) as (directory, last, descriptor):
        try:
            fill(descriptor)
            if timestamp_ms is not None:
                os.utime(descriptor, ns=(timestamp_ms * 1_000_000, timestamp_ms * 1_000_000))
            os.fsync(descriptor)
            os.rename(part, last, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=directory)
            raise
        os.fsync(directory)


@contextmanager
def _created(root: Path, name: str, part: str) -> Iterator[tuple[int, str, int]]:
    """Create a file beside `name`; give its directory, the last part of `name`, and the file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with ExitStack() as stack:
        for tries_left in reversed(range(_TRIES)):
            try:
                directory, last = stack.enter_context(directory_of(root, name, make=True))
                descriptor = os.open(part, flags, 0o600, dir_fd=directory)
                break
            except FileNotFoundError:
                # `remove` has just deleted a directory that was empty; the next try makes it anew.
                if not tries_left:
                    raise
        else:
            raise AssertionError("the last try raises")
        stack.callback(os.close, descriptor)
        yield directory, last, descriptor


def remove(root: Path, name: str) -> None:
    """Delete a file, if it exists, and the directories below `root` that it leaves empty."""
    try:
        with directory_of(root, name) as (directory, last):
            os.unlink(last, dir_fd=directory)
    except FileNotFoundError:
        root.stat()  # It may be the root that is missing, with an unmounted disk.
        return
    while "/" in name:
        name = name.rpartition("/")[0]
        try:
            with directory_of(root, name) as (directory, last):
                os.rmdir(last, dir_fd=directory)
        except OSError:
            return


def iter_files(root: Path, prefix: str) -> Iterator[StoredFile]:
    """Iterate over the finished files whose names start with `prefix`, ordered by name."""
    start = prefix.rpartition("/")[0]
    root.stat()
    try:
        with directory_of(root, f"{start}/_" if start else "_"):
            pass  # No part of it is a symbolic link.
        yield from _walk(root / start if start else root, f"{start}/" if start else "", prefix)
    except (FileNotFoundError, NotADirectoryError):
        return


def _walk(directory: Path, above: str, prefix: str) -> Iterator[StoredFile]:
    with os.scandir(directory) as entries:
        # A directory's files come where its name with the slash belongs.
        found = sorted(
            (above + entry.name + ("/" if entry.is_dir(follow_symlinks=False) else ""), entry)
            for entry in entries
            if is_finished(entry.name)
        )
    for name, entry in found:
        if name.endswith("/"):
            if name.startswith(prefix) or prefix.startswith(name):
                with suppress(FileNotFoundError):
                    yield from _walk(Path(entry.path), name, prefix)
        elif name.startswith(prefix) and entry.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                yield StoredFile(name, about.st_size, about.st_mtime)
