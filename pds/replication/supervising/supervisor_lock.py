"""A lock on a data directory, held by the one supervisor that replicates it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pds.replication.errors import ReplicaInUse, ReplicationError

_OWNER_ONLY: Final = 0o077


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` within a block.

    The kernel releases it when the process ends in any way. Files that the process and its daemons
    create meanwhile are readable only by their user, as those of the server are.

    Raises `ReplicaInUse` if another process holds it, and `ReplicationError` if the file cannot be
    made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise ReplicationError(
            f"cannot write {path} ({exc.strerror}): run `pds replicate` as the server's user, "
            "and check PDS_DATA_DIRECTORY"
        ) from exc
    umask_before = os.umask(_OWNER_ONLY)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.umask(umask_before)
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise ReplicaInUse(
            f"{path.parent} is being replicated already (pid {pid}): stop that one first"
        ) from exc
    except OSError as exc:
        raise ReplicationError(f"cannot lock {path}: {exc.strerror}") from exc
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
