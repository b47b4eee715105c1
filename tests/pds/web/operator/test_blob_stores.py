"""The operator's routes about stores of blobs, with a real S3 server as one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blob_store.moving import MovingBlobStore
from tests.pds.api.blobs import fetch, files, uploaded
from tests.pds.api.records import create
from tests.pds.conftest import Account, Pds, Reply
from tests.seaweedfs import SeaweedFs

S3 = "/_holdfast/blob-stores/s3"
DISK = "/_holdfast/blob-stores/disk"
NOTHING = {"count": 0, "bytes": 0}


@pytest.fixture(params=["s3"])
async def pds_environ(request: pytest.FixtureRequest, seaweedfs: SeaweedFs) -> dict[str, str]:
    """Settings of a server that has both stores, only a disk, or a bucket that is not there."""
    if request.param == "disk only":
        return {}
    if request.param == "no bucket":
        return {**seaweedfs.environ("no-such-bucket"), "PDS_BLOBSTORE_DISK_LOCATION": ""}
    location = await seaweedfs.create_bucket()
    return {**seaweedfs.environ(location.bucket), "PDS_BLOBSTORE_MOVE_TO": request.param}


async def ask(pds: Pds, verb: str, path: str, **more: Any) -> Reply:
    return await pds.request(verb, path, headers=pds.admin, **more)


async def put_on_disk(pds: Pds, account: Account, number: int) -> None:
    """Leave an upload on the disk that no row refers to."""
    directory = pds.ctx.settings.blob_tmp_directory
    assert directory is not None
    path = directory / account.did / f"{number:052}".replace("0", "a").replace("1", "b")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"upload")


async def test_stores_are_counted_by_place(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"blob": await uploaded(pds, alice, b"one", "text/plain")})
    await uploaded(pds, alice, b"draft", "text/plain")
    assert (await ask(pds, "GET", S3)).json == {
        "blobs": {
            "permanent": {"count": 1, "bytes": 3},
            "temporary": {"count": 1, "bytes": 5},
            "quarantined": NOTHING,
        }
    }
    empty = {"permanent": NOTHING, "temporary": NOTHING, "quarantined": NOTHING}
    assert (await ask(pds, "GET", DISK)).json == {"blobs": empty}


async def test_counting_goes_on_at_a_cursor(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.web.operator.blob_stores._PAGE", 1)
    monkeypatch.setattr("pds.web.operator.blob_stores._COUNTING_S", -1.0)
    for number in (0, 1, 11):
        await put_on_disk(pds, alice, number)
    counts: list[int] = []
    params: dict[str, str] = {}
    while True:
        page = (await ask(pds, "GET", DISK, params=params)).json
        counts.append(page["blobs"]["temporary"]["count"])
        if "cursor" not in page:
            break
        params = {"cursor": page["cursor"]}
    assert counts == [1, 1, 1, 0]


async def test_a_move_tells_how_far_it_is(pds: Pds, alice: Account, tmp_path: Path) -> None:
    await put_on_disk(pds, alice, 1)
    (tmp_path / "blobs" / alice.did).mkdir(parents=True)
    (tmp_path / "blobs" / alice.did / "notes.txt").write_bytes(b"what is this")
    told = (await ask(pds, "POST", S3, json={})).json
    while told["state"] == "moving":
        told = (await ask(pds, "POST", S3, json={"run": told["run"]})).json
    assert told.pop("run")
    assert told == {
        "state": "done",
        "failure": None,
        "movedBlobs": 1,
        "movedBytes": 6,
        "copiedBytes": 6,
        "leftCount": 1,
        "left": [
            {
                "did": alice.did,
                "name": "notes.txt",
                "place": "permanent",
                "problem": "it has a name that no blob has",
            }
        ],
    }


@pytest.mark.parametrize("pds_environ", ["disk"], indirect=True)
async def test_users_notice_nothing_of_two_stores(pds: Pds, alice: Account) -> None:
    blob = await uploaded(pds, alice, b"picture", "image/png")
    await create(pds, alice, {"blob": blob})
    assert len(files(pds)) == 1
    both = pds.ctx.blob_store
    assert isinstance(both, MovingBlobStore)
    assert isinstance(both.new, DiskBlobStore)
    # What the move deletes in S3 must survive a power cut here.
    assert both.new._full_sync
    assert (await fetch(pds, alice, blob)).body == b"picture"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([], "A JSON object is expected"),
        ({"run": 1}, "run must be"),
        ({"run": "x" * 101}, "run must be"),
        ({"bytesPerSecond": 999}, "bytesPerSecond must be"),
        ({"bytesPerSecond": "1"}, "bytesPerSecond must be"),
        ({"bytesPerSecond": True}, "bytesPerSecond must be"),
    ],
    ids=str,
)
async def test_a_bad_body_is_refused(pds: Pds, body: Any, problem: str) -> None:
    reply = await ask(pds, "POST", S3, json=body)
    assert reply.error == (400, "InvalidRequest")
    assert problem in reply.json["message"]


@pytest.mark.parametrize("cursor", ["x", "elsewhere/x", "permanent/" + "x" * 3001], ids=len)
async def test_a_bad_cursor_is_refused(pds: Pds, cursor: str) -> None:
    reply = await ask(pds, "GET", DISK, params={"cursor": cursor})
    assert reply.error == (400, "InvalidRequest")


async def test_blobs_move_only_the_way_that_the_settings_say(pds: Pds) -> None:
    reply = await ask(pds, "POST", DISK, json={})
    assert reply.error == (400, "InvalidRequest")
    assert "PDS_BLOBSTORE_MOVE_TO=s3" in reply.json["message"]
    reply = await ask(pds, "GET", "/_holdfast/blob-stores/tape")
    assert reply.json["message"] == "The store must be disk or s3"


@pytest.mark.parametrize("pds_environ", ["disk only"], indirect=True)
async def test_a_server_with_one_store_moves_nothing(pds: Pds, alice: Account) -> None:
    await uploaded(pds, alice, b"draft", "text/plain")
    assert (await ask(pds, "GET", DISK)).json["blobs"]["temporary"] == {"count": 1, "bytes": 5}
    reply = await ask(pds, "POST", DISK, json={})
    assert "started without PDS_BLOBSTORE_MOVE_TO" in reply.json["message"]
    reply = await ask(pds, "POST", S3, json={})
    assert "blobs on the disk only" in reply.json["message"]


@pytest.mark.parametrize("pds_environ", ["no bucket"], indirect=True)
async def test_the_operator_is_told_what_the_store_says(pds: Pds) -> None:
    reply = await ask(pds, "GET", S3)
    assert reply.error == (503, "NotEnoughResources")
    assert "NoSuchBucket" in reply.json["message"]
    assert "create it" in reply.json["message"]
