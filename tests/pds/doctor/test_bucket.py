"""Blobs in a bucket, as `pds doctor` finds them: there, lost, cut off, changed, out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from pds.doctor.actor import ActorFiles
from pds.doctor.agreement import directories_of
from pds.doctor.bucket import check_bucket
from pds.doctor.finding import Finding
from pds.reporting import no_progress
from tests.pds.doctor.conftest import Patient
from tests.seaweedfs import SeaweedFs

T = TypeVar("T")


@dataclass
class InBucket:
    """A patient whose blobs are in a bucket, under the keys of the reference."""

    patient: Patient
    location: S3Location

    def check(self, *, rehash: bool = False) -> list[Finding]:
        layout = self.patient.layout
        actors = [
            ActorFiles(did, layout.store(did), layout.key(did), None)
            for did in directories_of(layout)
        ]
        return check_bucket(self.location, actors, rehash=rehash, progress=no_progress)

    def only_problem(self, *, rehash: bool = False) -> Finding:
        """The one problem there is, which says what to do."""
        (found,) = self.check(rehash=rehash)
        assert found.status == "error"
        assert found.remedy
        return found

    def key_of_one(self) -> str:
        """The key of some permanent blob of alice."""
        path = self.patient.blobs("alice")[0]
        return f"blocks/{self.patient.did('alice')}/{path.name}"

    def run(self, act: Callable[[S3Bucket], Awaitable[T]]) -> T:
        async def with_bucket() -> T:
            bucket = S3Bucket(self.location)
            try:
                return await act(bucket)
            finally:
                await bucket.close()

        return asyncio.run(with_bucket())


@pytest.fixture
def in_bucket(patient: Patient, seaweedfs: SeaweedFs) -> InBucket:
    found = InBucket(patient, asyncio.run(seaweedfs.create_bucket()))
    blobs = patient.data / "blobs"
    contents = {
        _key_of(path.relative_to(blobs)): path.read_bytes()
        for path in blobs.rglob("*")
        if path.is_file()
    }

    async def put_all(bucket: S3Bucket) -> None:
        for key, data in contents.items():
            await bucket.put(key, data)

    found.run(put_all)
    return found


def _key_of(path: Path) -> str:
    return str(path) if path.parts[0] == "quarantine" else f"blocks/{path}"


@pytest.mark.parametrize("rehash", [False, True])
def test_blobs_that_are_all_there_are_counted(in_bucket: InBucket, *, rehash: bool) -> None:
    (found,) = in_bucket.check(rehash=rehash)
    assert found.status == "ok"
    assert "blobs (bytes)" in found.message if rehash else "blobs (sizes" in found.message


def test_an_object_that_is_gone_is_named(in_bucket: InBucket) -> None:
    key = in_bucket.key_of_one()
    in_bucket.run(lambda bucket: bucket.delete([key]))
    problem = in_bucket.only_problem()
    assert "1 blob file missing" in problem.message
    assert key.rpartition("/")[2] in problem.message
    assert problem.subject == f"{in_bucket.location.bucket}/{key.rpartition('/')[0]}"


def test_an_object_that_was_cut_off_is_named(in_bucket: InBucket) -> None:
    in_bucket.run(lambda bucket: bucket.put(in_bucket.key_of_one(), b"short"))
    assert "5 bytes instead of" in in_bucket.only_problem().message


def test_other_bytes_of_the_same_size_are_found_by_reading_them(in_bucket: InBucket) -> None:
    size = in_bucket.patient.blobs("alice")[0].stat().st_size
    in_bucket.run(lambda bucket: bucket.put(in_bucket.key_of_one(), bytes(size)))
    assert in_bucket.check()[0].status == "ok"
    assert "not what the CID says" in in_bucket.only_problem(rehash=True).message


def test_a_bucket_that_cannot_be_used_is_one_problem(in_bucket: InBucket) -> None:
    in_bucket.location = replace(in_bucket.location, bucket="no-such-bucket")
    problem = in_bucket.only_problem()
    assert "NoSuchBucket" in problem.message
    assert "PDS_BLOBSTORE_S3_BUCKET" in problem.remedy


def test_without_the_network_the_bucket_is_left_out(
    in_bucket: InBucket, seaweedfs: SeaweedFs
) -> None:
    in_bucket.patient.environ |= {
        **seaweedfs.environ("no-such-bucket"),
        "PDS_BLOBSTORE_DISK_LOCATION": "",
    }
    report = in_bucket.patient.examine()
    assert report.problems == ()
    skipped = [found for found in report.findings if found.check == "blobs"]
    assert [found.message for found in skipped] == ["left out by --offline"]
