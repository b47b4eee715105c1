"""Detecting paths on network file systems, on which SQLite loses data.

A WAL requires shared memory and locks between all processes, which network file systems do not
provide (https://sqlite.org/wal.html, https://sqlite.org/useovernet.html).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pds.config import Settings

NETWORK_TYPES: Final = frozenset(
    (
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "drvfs",
        "fakeowner",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "prl_fs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "vmhgfs",
        "fuse.blobfuse",
        "fuse.blobfuse2",
        "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.cifs",
        "fuse.curlftpfs",
        "fuse.davfs",
        "fuse.gcsfuse",
        "fuse.geesefs",
        "fuse.glusterfs",
        "fuse.goofys",
        "fuse.grpcfuse",
        "fuse.juicefs",
        "fuse.mount-s3",
        "fuse.mountpoint-s3",
        "fuse.nfs",
        "fuse.osxfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.seaweedfs",
        "fuse.smbnetfs",
        "fuse.sshfs",
        "fuse.vmhgfs-fuse",
    )
)
"""Type names as in Linux's /proc/self/mountinfo; a FUSE type includes its program's name."""

_MOUNTS: Final = Path("/proc/self/mountinfo")
_DESCRIPTORS: Final = Path("/proc/self/fdinfo")


def database_directories(settings: Settings) -> dict[str, Path]:
    """Return the directories that contain databases, each once, by the setting that names it."""
    named = {
        "PDS_DATA_DIRECTORY": settings.data_directory,
        "PDS_ACTOR_STORE_DIRECTORY": settings.actors_directory,
        "PDS_ACCOUNT_DB_LOCATION": settings.account_db_path.parent,
        "PDS_SEQUENCER_DB_LOCATION": settings.sequencer_db_path.parent,
        "PDS_DID_CACHE_DB_LOCATION": settings.did_cache_db_path.parent,
    }
    directories: dict[str, Path] = {}
    for setting, directory in named.items():
        if directory not in directories.values():
            directories[setting] = directory
    return directories


def find_network_type(path: Path) -> str | None:
    """Return the type of the network file system that `path` is or would be on.

    None if it is local, or if the system does not tell.
    """
    found = filesystem_type(path)
    return found if found in NETWORK_TYPES else None


def filesystem_type(path: Path) -> str | None:
    """Return the type of the file system of `path`, or of its nearest existing ancestor.

    None if the system does not tell.
    """
    try:
        return type_of_mount(_mount_id(existing_part(path)), _MOUNTS.read_text("utf-8", "replace"))
    except (OSError, ValueError):
        return None


def type_of_mount(mount_id: int, mounts: str) -> str | None:
    """Return the file system type of a mount in the text of a mountinfo file; see proc(5)."""
    for line in mounts.splitlines():
        mount, _, filesystem = line.partition(" - ")
        if mount.split(" ", 1)[0] == str(mount_id):
            return filesystem.split(" ", 1)[0] or None
    return None


def existing_part(path: Path) -> Path:
    """Return the path, or its nearest ancestor that exists."""
    path = path.absolute()
    return next((each for each in (path, *path.parents) if each.exists()), path)


def _mount_id(path: Path) -> int:
    # A descriptor identifies the exact mount, despite overmounts, bind mounts and symbolic links.
    descriptor = os.open(path, os.O_PATH)
    try:
        lines = (_DESCRIPTORS / str(descriptor)).read_text("ascii").splitlines()
    finally:
        os.close(descriptor)
    return int(next(line for line in lines if line.startswith("mnt_id:")).split()[1])
