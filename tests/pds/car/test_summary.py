"""What is in a repository, counted."""

from __future__ import annotations

import io

import pytest

from pds.car.blob_refs import UNKNOWN_SIZE, UNKNOWN_TYPE, BlobRefs, Share
from pds.car.repo_file import RepoFile, record_block
from pds.car.summary import summarize
from repo import dagcbor
from repo.cid import Cid
from repo.dagcbor import Value
from repo.datamodel import BlobRef
from repo.verify import InvalidRepo
from tests.pds.car.cars import (
    BLOB,
    LEGACY_BLOB,
    POST,
    RECORDS,
    Parts,
    car_of,
    parts_of,
    parts_of_blocks,
)


def blob(cid: Cid, size: int) -> dict[str, object]:
    return {"$type": "blob", "ref": cid, "mimeType": "image/png", "size": size}


def test_records_nodes_and_blobs_are_counted() -> None:
    parts = parts_of()
    with RepoFile.read(io.BytesIO(parts.encode())) as repo:
        summary = summarize(repo)
    sizes = {key: len(dagcbor.encode(value)) for key, value in RECORDS.items()}
    assert list(summary.collections) == ["app.bsky.actor.profile", POST, "com.example.note"]
    assert summary.collections[POST].count == 6
    assert summary.records == Share(len(RECORDS), sum(sizes.values()))
    assert summary.nodes.count == parts.nodes
    assert summary.nodes.size_bytes == sum(len(b) for _, b in parts.blocks[1 : 1 + parts.nodes])
    assert summary.unused == Share(0, 0)
    # The legacy blob claims no size.
    assert summary.blobs == Share(2, 9)


def test_blocks_in_no_use_are_counted_apart() -> None:
    parts = parts_of()
    parts.blocks.append((Cid.of_raw(b"stray"), b"stray"))
    with RepoFile.read(io.BytesIO(parts.encode())) as repo:
        assert summarize(repo).unused == Share(1, 5)
        # Counting again begins again.
        assert summarize(repo).unused == Share(1, 5)


def refs_of(records: dict[str, object]) -> list[BlobRef]:
    with RepoFile.read(io.BytesIO(car_of(records))) as repo, BlobRefs() as refs:
        for record in repo.iter_records():
            refs.add(record, record_block(record, repo.blocks))
        return list(refs)


def test_each_blob_counts_once_with_what_is_claimed_of_it_first() -> None:
    found = refs_of(
        {
            f"{POST}/a": {"images": [blob(BLOB, 5), {"deeper": blob(LEGACY_BLOB, 7)}]},
            f"{POST}/b": {"image": blob(BLOB, 6)},
        }
    )
    assert sorted(found, key=lambda ref: ref.size) == [
        BlobRef(BLOB, "image/png", 5),
        BlobRef(LEGACY_BLOB, "image/png", 7),
    ]


def test_blobs_of_the_legacy_form_count() -> None:
    assert refs_of({f"{POST}/a": {"i": {"cid": str(BLOB), "mimeType": "image/png"}}}) == [
        BlobRef(BLOB, UNKNOWN_TYPE, UNKNOWN_SIZE)
    ]


@pytest.mark.parametrize(
    "value",
    [
        {"mimeType": "image/png"},
        {"cid": "no CID", "mimeType": "image/png"},
        {"cid": str(BLOB), "mimeType": "image/png", "more": 1},
        {"$type": "blob", "ref": str(BLOB), "mimeType": "image/png", "size": 1},
        {"$type": "blob", "ref": BLOB, "mimeType": 5, "size": 1},
    ],
    ids=str,
)
def test_what_only_looks_like_a_blob_is_none(value: object) -> None:
    assert refs_of({f"{POST}/a": {"x": value}}) == []


def test_a_record_that_cannot_be_read_refers_to_no_blobs() -> None:
    car = parts_of_blocks({f"{POST}/a": b"\xa1hmimeType\xff"}).encode()
    with RepoFile.read(io.BytesIO(car)) as repo:
        summary = summarize(repo)
    assert (summary.records.count, summary.blobs.count) == (1, 0)


def test_an_odd_record_refers_to_its_blobs() -> None:
    value: Value = {"$type": "blob", "ref": BLOB, "mimeType": "image/png", "size": 9}
    plain = dagcbor.encode({"a": 1, "blob": value})
    block = plain.replace(b"aa\x01", b"aa\xfb" + bytes(8))
    car = parts_of_blocks({f"{POST}/a": block}).encode()
    with RepoFile.read(io.BytesIO(car)) as repo:
        assert summarize(repo).blobs == Share(1, 9)


def test_a_missing_record_is_named() -> None:
    parts = parts_of()
    cid = parts.blocks[-1][0]
    car = Parts(parts.roots, parts.blocks[:-1], 0).encode()
    reason = pytest.raises(InvalidRepo, match=f"{cid}.* is missing")
    with RepoFile.read(io.BytesIO(car)) as repo, reason:
        summarize(repo)
