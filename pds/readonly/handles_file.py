"""A file with the handles of an archive's DIDs, for DIDs that no longer resolve."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from repo.syntax import Did, Handle, InvalidSyntax, normalize_handle, parse_did

_MAX_BYTES: Final = 64 * 1024 * 1024


class InvalidHandlesFile(ValueError):
    """A line is not a DID and a handle; the message names it."""


def read_handles_file(path: Path) -> dict[Did, Handle]:
    """Read handles by DID: each line has a DID, a blank and a handle; `#` starts a comment.

    Raises `InvalidHandlesFile` and `OSError`.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidHandlesFile(f"{path} is larger than {_MAX_BYTES} bytes")
    handles: dict[Did, Handle] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            did, handle = words
            handles[parse_did(did)] = normalize_handle(handle)
        except (ValueError, InvalidSyntax) as exc:
            raise InvalidHandlesFile(
                f"{path}, line {number}: not a DID and a handle: {line.strip()[:200]}"
            ) from exc
    return handles
