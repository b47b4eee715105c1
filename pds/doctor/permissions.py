"""Whether other users of the machine can read databases, keys and secrets, by file modes."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pds.doctor.finding import Finding
from pds.reporting import Sample, counted

CHECK: Final = "permissions"


def is_exposed(path: Path) -> bool:
    """Whether the modes of a file and of all its parent directories let other users read it."""
    path = path.absolute()
    return bool(path.stat().st_mode & stat.S_IROTH) and all(
        parent.stat().st_mode & stat.S_IXOTH for parent in path.parents
    )


def check_databases(directory: Path, databases: Iterable[Path]) -> Iterator[Finding]:
    """Check whether others can read any of `databases`, most of them in the data `directory`."""
    inside, groups = Sample(), set()
    for path in databases:
        if not os.access(path, os.F_OK):  # Or in a directory that is closed to this user.
            continue
        if not is_exposed(path):
            groups |= _groups_that_read(path)
        elif path.is_relative_to(directory):
            inside.add(str(path.relative_to(directory)))
        else:
            yield _exposed_file(path, "")
    if inside:
        yield Finding.warning(
            CHECK,
            directory,
            f"any user of this machine can read {counted(inside.count, 'database')}: {inside}",
            f"Close the directory to others: chmod o-rwx {directory}",
        )
    elif groups:
        names = ", ".join(sorted(groups))
        message = f"closed to other users; on purpose or not, the group {names} can read databases"
        yield Finding.ok(CHECK, directory, message)
    else:
        yield Finding.ok(CHECK, directory, "databases can be read by their user alone")


def check_env_file(path: Path) -> Finding:
    """Check whether others can read the file with the server's secrets."""
    if is_exposed(path):
        return _exposed_file(path, ", and with it the secrets of the server")
    groups = _groups_that_read(path)
    if groups:
        message = f"closed to other users; on purpose or not, the group {groups.pop()} can read it"
        return Finding.ok(CHECK, path, message)
    return Finding.ok(CHECK, path, "can be read by its user alone")


def _exposed_file(path: Path, consequence: str) -> Finding:
    message = f"any user of this machine can read it{consequence}"
    return Finding.warning(CHECK, path, message, f"Close it to others: chmod o-rwx {path}")


def _groups_that_read(path: Path) -> set[str]:
    """Return the file's group if it can read the file and traverse its directories."""
    path = path.absolute()
    status = path.stat()
    if not status.st_mode & stat.S_IRGRP or not all(
        _lets_through(parent, status.st_gid) for parent in path.parents
    ):
        return set()
    try:
        return {grp.getgrgid(status.st_gid).gr_name}
    except KeyError:
        return {str(status.st_gid)}


def _lets_through(directory: Path, gid: int) -> bool:
    status = directory.stat()
    needed = stat.S_IXGRP if status.st_gid == gid else stat.S_IXOTH
    return bool(status.st_mode & needed)
