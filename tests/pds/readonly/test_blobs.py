"""Blobs from a directory: in either layout, and only if they are what they are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pds.car.blob_directory import BlobDirectory
from repo.cid import Cid
from tests.pds.car.cars import BLOB, DID, LEGACY_BLOB, car_of
from tests.pds.readonly.conftest import OFFLINE, ReadonlyServer, start

PICTURE = b"a picture"


def write(directory: Path, *parts: str, data: bytes = PICTURE) -> None:
    path = directory.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@contextmanager
def server_of(directory: Path, *options: str) -> Iterator[ReadonlyServer]:
    (directory / "a.car").write_bytes(car_of())
    server = start(directory / "a.car", directory / "log", *OFFLINE, *options)
    try:
        yield server
    finally:
        server.process.kill()


def get(server: ReadonlyServer, cid: Cid = BLOB) -> Any:
    return server.client.get("com.atproto.sync.getBlob", did=DID, cid=str(cid))


def listed(server: ReadonlyServer) -> Any:
    return server.client.call("com.atproto.sync.listBlobs", did=DID)["cids"]


def test_both_layouts_are_served_and_a_changed_file_is_not(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    write(blobs, DID, str(BLOB))
    write(blobs, DID, "ab", str(LEGACY_BLOB), data=b"an old picture")
    with server_of(tmp_path, "--blobs", str(blobs)) as server:
        assert get(server).body == PICTURE
        assert get(server).headers["content-type"] == "image/png"
        assert get(server, LEGACY_BLOB).body == b"an old picture"
        assert set(listed(server)) == {str(BLOB), str(LEGACY_BLOB)}
        write(blobs, DID, str(BLOB), data=b"a forgery")
        assert (get(server).status, get(server).json["error"]) == (404, "BlobNotFound")
        assert "other bytes than its name says" in server.log()


def test_without_a_directory_there_are_none(tmp_path: Path) -> None:
    with server_of(tmp_path) as server:
        assert (get(server).status, get(server).json["error"]) == (404, "BlobNotFound")
        assert listed(server) == []


@pytest.mark.parametrize("did", ["did:plc:../../etc", "..", "", "did:web:a/b", "did:plc:nobody"])
async def test_nothing_outside_of_a_repository_s_directory_is_looked_at(
    tmp_path: Path, did: str
) -> None:
    write(tmp_path, str(BLOB))
    write(tmp_path, "etc", str(BLOB))
    blobs = BlobDirectory(tmp_path / "blobs")
    write(tmp_path / "blobs", "x", str(BLOB))
    assert await blobs.open(did, BLOB) is None
    assert await blobs.present(did, [BLOB]) == []
