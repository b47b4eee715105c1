"""The machine's resources for the server: open files, disk space, and a safe SQLite and file
system.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from database.engine import ENGINE_REMEDY, find_engine_fault
from database.open_files import MIN_LIMIT, REMEDY
from pds.disk.network_filesystem import existing_part, filesystem_type, find_network_type
from pds.doctor.finding import Finding
from pds.reporting import counted

FILE_LIMIT: Final = "open files"
ENGINE: Final = "SQLite"
FREE_SPACE: Final = "free space"
FILESYSTEM: Final = "file system"
_MIB: Final = 1024 * 1024
_SCARCE_BYTES: Final = 2048 * _MIB
_TOO_LITTLE_BYTES: Final = 256 * _MIB
_SCARCE_FILES: Final = 10_000

Usage = Callable[[Path], os.statvfs_result]


def check_file_limit(actors: int, *, wanted: int, allowed: int, limit: int = MIN_LIMIT) -> Finding:
    """Check that the server can start, and that all stores in use can be kept open.

    `wanted` is the setting, `allowed` what the `limit` of open files permits of it.
    """
    needed = min(actors, wanted)
    subject = "RLIMIT_NOFILE"
    if limit < MIN_LIMIT:
        message = f"is {limit}: the server does not start with fewer than {MIN_LIMIT} files"
        return Finding.error(FILE_LIMIT, subject, message, f"{REMEDY[:1].upper()}{REMEDY[1:]}.")
    if allowed >= needed:
        message = f"enough to keep {counted(needed, 'actor store')} open"
        return Finding.ok(FILE_LIMIT, subject, message)
    return Finding.warning(
        FILE_LIMIT,
        subject,
        f"only {allowed:,} of {counted(needed, 'actor store')} can be kept open; the others are "
        "opened for each request",
        f"Raise the limit to {4 * needed + 1_024} or more: LimitNOFILE= in the systemd unit, "
        "--ulimit nofile= for docker run, nofile in /etc/security/limits.conf.",
    )


def check_engine(version: str) -> Finding:
    """Check that this SQLite, which the server uses as well, does not corrupt data."""
    fault = find_engine_fault(version)
    if fault is None:
        return Finding.ok(ENGINE, version, "keeps data that several processes use")
    return Finding.warning(ENGINE, version, fault, f"{ENGINE_REMEDY}.")


def check_space(directories: dict[str, Path], usage: Usage = os.statvfs) -> Iterator[Finding]:
    """Check the space on each directory's disk; `directories` maps settings to directories."""
    seen = set()
    for setting, directory in directories.items():
        path = existing_part(directory)
        device = path.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield _judge_space(setting, path, usage(path))


def check_filesystems(directories: dict[str, Path]) -> Iterator[Finding]:
    """Check the file systems that hold databases; `directories` maps settings to directories."""
    for setting, directory in directories.items():
        network = find_network_type(directory)
        if network is not None:
            yield network_error(setting, directory, network)
            continue
        known = filesystem_type(directory)
        if known is None:
            yield Finding.skipped(FILESYSTEM, directory, "the system does not tell its type")
        else:
            yield Finding.ok(FILESYSTEM, directory, f"{known}, a local file system")


def network_error(setting: str, directory: Path, kind: str) -> Finding:
    """Return the finding for databases on a network file system."""
    return Finding.error(
        FILESYSTEM,
        directory,
        f"is on a network file system ({kind}), where SQLite loses data",
        f"Set {setting} to a directory on a local disk. The server does not start on this one.",
    )


def _judge_space(setting: str, path: Path, usage: os.statvfs_result) -> Finding:
    free = usage.f_bavail * usage.f_frsize
    text = f"{free / _MIB:,.0f} MiB free"
    remedy = f"Free space, or move the directory to a larger disk ({setting})."
    if free < _TOO_LITTLE_BYTES:
        return Finding.error(FREE_SPACE, path, f"{text}: writes are about to fail", remedy)
    if free < _SCARCE_BYTES:
        return Finding.warning(FREE_SPACE, path, text, remedy)
    # Some file systems create inodes on demand, and report none.
    if usage.f_files and usage.f_favail < _SCARCE_FILES:
        message = f"{counted(usage.f_favail, 'more file')} can be made, however small"
        return Finding.warning(FREE_SPACE, path, message, f"Delete files. {remedy}")
    return Finding.ok(FREE_SPACE, path, text)
