"""Every byte of a small CAR damaged, whatever is done with it: a refusal or the same result."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from pds.car.blob_refs import BlobRefs
from pds.car.canonical import iter_car
from pds.car.differences import iter_differences
from pds.car.repo_file import RepoFile, record_block
from pds.car.summary import summarize
from pds.car.unpacking import unpack
from repo.car import InvalidCar
from repo.mst import MstError
from repo.odd_record import read_kept
from repo.verify import InvalidRepo
from tests.pds.car.cars import BLOB, POST, car_of

Use: TypeAlias = Callable[[RepoFile], object]

RECORDS = {
    f"{POST}/a": {"blob": {"$type": "blob", "ref": BLOB, "mimeType": "image/png", "size": 9}},
    f"{POST}/b": {"n": [1, "two", {"three": 3}]},
    "com.example.x/c": {},
}
CAR = car_of(RECORDS)


def list_records(repo: RepoFile) -> object:
    return list(repo.iter_records()), list(repo.iter_records(POST)), repo.find(f"{POST}/a")


def get_record(repo: RepoFile) -> object:
    record = repo.find(f"{POST}/b")
    if record is None:
        return None
    return read_kept(record_block(record, repo.blocks))


def list_blobs(repo: RepoFile) -> object:
    with BlobRefs() as refs:
        for record in repo.iter_records():
            refs.add(record, record_block(record, repo.blocks))
        return list(refs)


def write(repo: RepoFile) -> object:
    parts = iter_car(repo.root, repo.commit_block, data=repo.commit.data, blocks=repo.blocks)
    return b"".join(parts)


def compare(repo: RepoFile) -> object:
    with RepoFile.read(io.BytesIO(CAR)) as whole:
        return list(iter_differences(whole, repo)), list(iter_differences(repo, whole))


USES: dict[str, Use] = {
    "inspect": summarize,
    "ls": list_records,
    "ls --blobs": list_blobs,
    "get": get_record,
    "pack": write,
    "diff": compare,
}


def outcome(car: bytes, use: Use) -> object:
    """What a use gives; None if it is refused."""
    try:
        with RepoFile.read(io.BytesIO(car)) as repo:
            return use(repo)
    except (InvalidCar, InvalidRepo, MstError):
        return None


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_flipped_bit_never_gives_another_result(use: Use) -> None:
    whole = outcome(CAR, use)
    assert whole is not None
    for position in range(len(CAR)):
        car = bytearray(CAR)
        car[position] ^= 1 << position % 8
        assert outcome(bytes(car), use) in (None, whole), position


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_file_that_ends_early_never_gives_another_result(use: Use) -> None:
    whole = outcome(CAR, use)
    for length in range(len(CAR)):
        assert outcome(CAR[:length], use) in (None, whole), length


def test_an_unpacked_directory_is_whole_or_not_there(tmp_path: Path) -> None:
    def files(directory: Path) -> object:
        return {
            str(p.relative_to(directory)): p.read_bytes()
            for p in directory.rglob("*")
            if p.is_file()
        }

    def unpack_into(directory: Path, car: bytes) -> object:
        return outcome(car, lambda repo: (unpack(repo, directory), files(directory)))

    whole = unpack_into(tmp_path / "whole", CAR)
    for position in range(0, len(CAR), 3):
        car = bytearray(CAR)
        car[position] ^= 0x10
        directory = tmp_path / str(position)
        result = unpack_into(directory, bytes(car))
        assert result in (None, whole), position
        assert directory.exists() == (result is not None)
