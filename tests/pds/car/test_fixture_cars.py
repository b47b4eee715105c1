"""The CARs that the reference PDS has exported, beside what was written into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from pds.car.blob_refs import BlobRefs
from pds.car.record_files import json_text
from pds.car.repo_file import RepoFile, record_block
from pds.car.summary import summarize
from repo.record import decode_record
from tests.pds.car.cars import FIXTURE_CARS
from tests.reference.data import manifest

MANIFEST = manifest()
ACCOUNTS: dict[str, Any] = MANIFEST["accounts"]

each_car = pytest.mark.parametrize("path", FIXTURE_CARS, ids=lambda path: path.stem)


def manifest_records(did: str) -> dict[str, Any]:
    """The manifest's records of an account by key."""
    prefix = f"at://{did}/"
    return {
        record["uri"].removeprefix(prefix): record
        for record in MANIFEST["records"]
        if record["uri"].startswith(prefix)
    }


def test_there_are_fixtures() -> None:
    assert len(FIXTURE_CARS) == 4


@each_car
def test_the_commit_is_the_one_that_the_reference_told(path: Path) -> None:
    account = ACCOUNTS[path.stem]
    with RepoFile.open(path) as repo:
        assert repo.commit.did == account["did"]
        assert repo.commit.rev == account["latestCommit"]["rev"]
        assert str(repo.root) == account["latestCommit"]["cid"]


@each_car
def test_the_summary_has_the_collections_and_blobs_of_the_manifest(path: Path) -> None:
    account = ACCOUNTS[path.stem]
    with RepoFile.open(path) as repo, BlobRefs() as refs:
        summary = summarize(repo)
        for record in repo.iter_records():
            refs.add(record, record_block(record, repo.blocks))
        assert sorted(str(ref.cid) for ref in refs) == sorted(account["blobs"])
    assert list(summary.collections) == account["collections"]
    assert summary.blobs.count == len(account["blobs"])
    assert summary.unused.count == 0


@each_car
def test_every_record_is_the_one_of_the_manifest(path: Path) -> None:
    with RepoFile.open(path) as repo:
        written = manifest_records(repo.commit.did)
        found = {record.key: record for record in repo.iter_records()}
        for key, record in written.items():
            assert str(found[key].cid) == record["cid"]
            assert repo.find(key) == found[key]
            block = repo.blocks.get_block(found[key].cid)
            assert orjson.loads(json_text(decode_record(block))) == record["value"]
        assert MANIFEST["deleted"].removeprefix(f"at://{repo.commit.did}/") not in found
