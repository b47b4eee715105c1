"""Telling network file systems from local ones, and refusing to keep databases on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.config import Settings, read_settings
from pds.disk import network_filesystem
from pds.disk.data_directory import DataDirectoryError, make_directories
from pds.disk.network_filesystem import (
    NETWORK_TYPES,
    database_directories,
    filesystem_type,
    find_network_type,
    type_of_mount,
)

_MOUNTS = """\
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 24 0:44 / /mnt/with\\040blank rw,relatime shared:7 master:2 - nfs4 server:/export rw,vers=4.2
32 24 0:45 / /mnt/ssh rw,nosuid - fuse.sshfs user@host:/ rw,user_id=0
331 24 0:46 / /mnt/other rw - tmpfs tmpfs rw
"""


def settings_for(data: Path, **more: str) -> Settings:
    return read_settings(
        {
            "PDS_DATA_DIRECTORY": str(data),
            "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
            "PDS_DEV_MODE": "true",
            "PDS_JWT_SECRET": "x",
            "PDS_ADMIN_PASSWORD": "x",
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
            **more,
        }
    )


@pytest.mark.parametrize(
    ("mount_id", "kind"),
    [(24, "ext4"), (31, "nfs4"), (32, "fuse.sshfs"), (331, "tmpfs"), (3, None)],
)
def test_the_type_is_that_of_the_very_mount(mount_id: int, kind: str | None) -> None:
    assert type_of_mount(mount_id, _MOUNTS) == kind


def test_a_path_that_is_not_there_yet_is_judged_by_its_ancestor(tmp_path: Path) -> None:
    assert filesystem_type(tmp_path) is not None
    assert filesystem_type(tmp_path / "not" / "there") == filesystem_type(tmp_path)


def test_proc_is_recognised() -> None:
    assert filesystem_type(Path("/proc/self")) == "proc"


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb2", "smb3", "9p", "ceph", "fuse.sshfs"]
)
def test_network_types_are_known(kind: str) -> None:
    assert kind in NETWORK_TYPES


def test_databases_on_a_network_file_system_are_refused_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path)
    make_directories(settings)
    local = filesystem_type(tmp_path)
    monkeypatch.setattr(network_filesystem, "NETWORK_TYPES", frozenset((local,)))
    assert find_network_type(tmp_path) == local
    with pytest.raises(DataDirectoryError, match=r"network file system.*Set PDS_DATA_DIRECTORY"):
        make_directories(settings)


def test_a_system_that_tells_nothing_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_filesystem, "_MOUNTS", tmp_path / "missing")
    assert filesystem_type(tmp_path) is None
    assert find_network_type(tmp_path) is None


def test_every_place_of_a_database_is_looked_at_once(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, PDS_SEQUENCER_DB_LOCATION=str(tmp_path / "log" / "s.sqlite"))
    assert database_directories(settings) == {
        "PDS_DATA_DIRECTORY": tmp_path,
        "PDS_ACTOR_STORE_DIRECTORY": tmp_path / "actors",
        "PDS_SEQUENCER_DB_LOCATION": tmp_path / "log",
    }
