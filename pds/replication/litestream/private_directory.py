"""Where a daemon's configuration and control socket are: only this user may enter.

Who can write to the socket can make the daemon read any database.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_MAX_SOCKET_BYTES: Final = 100
"""Linux takes 107 for the name of a Unix socket."""
_SHORT_DIRECTORY: Final = "/tmp"  # noqa: S108 (the directory below it is private)
_PRIVATE: Final = 0o700
_YOUNG_S: Final = 60.0
"""A directory of this age may have been made a moment ago and not be locked yet."""


class PrivateDirectory:
    """A directory for one daemon, in the system's for temporary files.

    It is locked while it is in use, so that the next daemon of the same name can tell and remove
    those that killed processes have left.
    """

    def __init__(self, name: str) -> None:
        self._prefix = f"holdfast-{name}-"
        own_name = f"{self._prefix}{secrets.token_hex(8)}"
        self.path = Path(tempfile.gettempdir()) / own_name
        if len(os.fsencode(self.socket)) > _MAX_SOCKET_BYTES:
            self.path = Path(_SHORT_DIRECTORY) / own_name
        self._lock: int | None = None

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.path / "control"

    @property
    def config(self) -> Path:
        """The file that Litestream reads."""
        return self.path / "litestream.yml"

    def make(self) -> None:
        """Make it if it is not there, or not any more. Raises `OSError`.

        A directory that somebody else has put in its place is refused.
        """
        self._remove_abandoned()
        with suppress(FileExistsError):
            self.path.mkdir(mode=_PRIVATE)
        if not _is_private(self.path):
            raise PermissionError(errno.EPERM, "not private", str(self.path))
        self._unlock()
        self._lock = _lock(self.path)

    def remove(self) -> None:
        """Remove it. May be repeated."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _remove_abandoned(self) -> None:
        with suppress(OSError):
            for path in self.path.parent.glob(f"{self._prefix}*"):
                if path != self.path:
                    _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    with suppress(OSError):
        if not _is_private(path) or time.time() - path.stat().st_mtime < _YOUNG_S:
            return
        lock = _lock(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _lock(path: Path) -> int | None:
    """Lock a directory; return its descriptor, or None if another process has locked it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_private(path: Path) -> bool:
    status = path.stat(follow_symlinks=False)
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and stat.S_IMODE(status.st_mode) == _PRIVATE
    )
