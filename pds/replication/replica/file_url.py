"""`file:///directory`: a replica in a directory, such as a mounted disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult

from pds.replication.errors import InvalidReplicaUrl

_SAME_FOR_BOTH: Final = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@\[\]/]+")
"""Litestream takes the path of a file URL without decoding it, and encodes everything else."""


@dataclass(slots=True, frozen=True)
class FileAddress:
    """An absolute directory."""

    root: Path

    @classmethod
    def parse(cls, parts: SplitResult, text: str) -> FileAddress:
        """Read a URL with the scheme `file`. Raises `InvalidReplicaUrl`."""
        if parts.netloc or not text.lower().startswith("file:///"):
            raise InvalidReplicaUrl(
                "the URL of a directory has an absolute path after three slashes: "
                "write file:///directory"
            )
        if "?" in text:
            raise InvalidReplicaUrl("the URL of a directory takes no options: leave out the ?")
        path = parts.path.rstrip("/")
        if not _SAME_FOR_BOTH.fullmatch(path):
            raise InvalidReplicaUrl(
                f"Litestream cannot use the path {path!r}: write one of letters of ASCII, digits "
                "and -._~ only, such as that of a symbolic link to the directory"
            )
        if any(part in {"", ".", ".."} for part in path.split("/")[1:]):
            raise InvalidReplicaUrl(
                f"the path {path!r} has empty parts or dots: write it without them"
            )
        return cls(Path(path))

    def for_litestream(self, name: str) -> str:
        """Return the URL by which Litestream reaches a file of the replica."""
        if not _SAME_FOR_BOTH.fullmatch(name):
            raise InvalidReplicaUrl(f"Litestream cannot use {name!r} below a file URL")
        return f"file://{self.root}/{name}"

    def __str__(self) -> str:
        return f"file://{self.root}"
