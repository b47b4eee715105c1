"""Blobs: fetched once, kept only with the right hash, and what fails is told and not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.car import blob_download
from pds.car.blob_download import BlobCounts, BlobDownload
from pds.reporting import no_progress
from repo.cid import Cid
from repo.datamodel import BlobRef
from tests.pds.car.cars import DID
from tests.pds.car.conftest import ScriptedPds

DATA = b"a picture" * 1000
CID = Cid.of_raw(DATA)
REF = BlobRef(CID, "image/png", len(DATA))


async def fetch(
    server: ScriptedPds, directory: Path, refs: list[BlobRef] | None = None
) -> tuple[BlobCounts, list[str]]:
    failures: list[str] = []
    work = BlobDownload(
        server.account(),
        directory,
        note_failure=failures.append,
        retries=server.retries,
        progress=no_progress,
    )
    wanted = [REF] if refs is None else refs
    return await work.run(wanted, total=len(wanted)), failures


def names(directory: Path) -> list[str]:
    return [str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()]


async def test_a_blob_is_a_file_named_for_its_cid(scripted: ScriptedPds, tmp_path: Path) -> None:
    scripted.answers["getBlob"] = [DATA]
    counts, failures = await fetch(scripted, tmp_path / "blobs")
    assert (counts.fetched, counts.present, counts.failed) == (1, 0, 0)
    assert failures == []
    assert (tmp_path / "blobs" / DID / str(CID)).read_bytes() == DATA
    assert scripted.asked == [("com.atproto.sync.getBlob", {"did": DID, "cid": str(CID)})]


async def test_what_is_there_is_not_fetched_again(scripted: ScriptedPds, tmp_path: Path) -> None:
    scripted.answers["getBlob"] = [DATA]
    await fetch(scripted, tmp_path)
    counts, _ = await fetch(scripted, tmp_path)
    assert (counts.fetched, counts.present) == (0, 1)
    assert len(scripted.asked) == 1


async def test_many_are_fetched_each_once(scripted: ScriptedPds, tmp_path: Path) -> None:
    contents = [b"%d" % n for n in range(40)]
    refs = [BlobRef(Cid.of_raw(data), "text/plain", 1) for data in contents]
    by_cid = {str(Cid.of_raw(data)): data for data in contents}
    scripted.answers["getBlob"] = [b"unused"]
    scripted.choose = lambda query: by_cid[query["cid"]]
    counts, failures = await fetch(scripted, tmp_path, refs)
    assert (counts.fetched, failures) == (40, [])
    assert len(names(tmp_path)) == len(scripted.asked) == 40


async def test_a_transfer_that_breaks_off_begins_again(
    scripted: ScriptedPds, tmp_path: Path
) -> None:
    scripted.answers["getBlob"] = [DATA]
    scripted.cut = 3
    counts, _ = await fetch(scripted, tmp_path)
    assert counts.fetched == 1
    assert names(tmp_path) == [f"{DID}/{CID}"]


@pytest.mark.parametrize(
    ("answer", "reason", "asked"),
    [
        (b"another picture", "does not hash to the CID", 1),
        (b"", "does not hash to the CID", 1),
        (400, "Oops: no luck", 1),
        (503, "Oops: no luck", 4),
    ],
)
async def test_a_blob_that_is_not_to_be_had_is_told(
    scripted: ScriptedPds, tmp_path: Path, answer: bytes | int, reason: str, asked: int
) -> None:
    scripted.answers["getBlob"] = [answer]
    counts, failures = await fetch(scripted, tmp_path)
    assert (counts.fetched, counts.failed) == (0, 1)
    (failure,) = failures
    assert failure.startswith(f"blob {CID}: ")
    assert reason in failure
    assert len(scripted.asked) == asked
    assert names(tmp_path) == []


async def test_one_failure_does_not_keep_the_others_away(
    scripted: ScriptedPds, tmp_path: Path
) -> None:
    lost = [BlobRef(Cid.of_raw(b"%d" % n), "image/png", 1) for n in range(9)]
    scripted.answers["getBlob"] = [DATA]
    counts, failures = await fetch(scripted, tmp_path, [*lost, REF])
    assert (counts.fetched, counts.failed, len(failures)) == (1, 9, 9)


async def test_the_length_is_bounded_whatever_a_record_claims(
    scripted: ScriptedPds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.answers["getBlob"] = [DATA]
    for limit, size, fetched in ((100, -1, 0), (100, 2**62, 0), (len(DATA), 1, 1)):
        monkeypatch.setattr(blob_download, "MAX_BLOB_BYTES", limit)
        counts, failures = await fetch(scripted, tmp_path, [BlobRef(CID, "image/png", size)])
        assert counts.fetched == fetched
        assert fetched or "more than 100 bytes" in failures[0]


async def test_a_cid_without_a_known_hash_is_not_fetched(
    scripted: ScriptedPds, tmp_path: Path
) -> None:
    other = Cid.from_bytes(b"\x01\x55\x13\x40" + bytes(64))
    counts, failures = await fetch(scripted, tmp_path, [BlobRef(other, "image/png", 1)])
    assert counts.failed == 1
    assert "no SHA-256" in failures[0]
    assert scripted.asked == []


async def test_a_disk_that_refuses_ends_the_work(scripted: ScriptedPds, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"a file where the directory should be")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        await fetch(scripted, tmp_path / "blobs")
