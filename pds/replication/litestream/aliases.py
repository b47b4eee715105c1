"""Names under which Litestream can open a database whose path has characters of a URI.

Litestream gives SQLite the path as a URI, in which `%3A` is a colon and `?` ends the path, but
looks for the same file by the path as it stands. The directory of a did:web with a port has such a
name. Those databases are registered through a link to their directory: every file that Litestream
makes still lies beside the database.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from pds.replication.errors import LitestreamFailed, Trouble

_ODD: Final = re.compile(r"[%?#]")


class Aliases:
    """Links in a directory of our own, for databases that need one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._paths: dict[str, Path] = {}
        """The databases by their aliases."""

    def name_of(self, path: Path) -> str:
        """Return the name of a database for Litestream."""
        if not _ODD.search(str(path)):
            return str(path)
        return str(self._link_of(path) / path.name)

    def make(self, path: Path) -> str:
        """Make the link that a database needs, if any, and return its name for Litestream.

        Raises `LitestreamFailed` if the file itself has an odd name or the link cannot be made.
        """
        name = self.name_of(path)
        if name == str(path):
            return name
        if _ODD.search(path.name):
            raise LitestreamFailed(f"Litestream cannot open a file with the name {path.name}")
        link = self._link_of(path)
        try:
            with suppress(FileExistsError):
                link.symlink_to(path.parent)
        except OSError as exc:
            raise LitestreamFailed(f"{link}: {exc.strerror}", Trouble.DISK_FULL) from exc
        self._paths[name] = path
        return name

    def drop(self, path: Path) -> None:
        """Remove the link of a database that is not registered any more, if it is the last one."""
        name = self.name_of(path)
        if self._paths.pop(name, None) is None:
            return
        if not any(other.parent == path.parent for other in self._paths.values()):
            self._link_of(path).unlink(missing_ok=True)

    def _link_of(self, path: Path) -> Path:
        digest = hashlib.sha256(os.fsencode(path.parent)).hexdigest()
        return self._directory / f"of-{digest[:32]}"
