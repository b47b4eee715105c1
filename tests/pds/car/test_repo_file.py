"""Opening CARs: from files and pipes alike, and nothing stays open after a refusal."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from pds.car.repo_file import READING, RepoFile
from repo.car import InvalidCar
from repo.cid import Cid
from repo.mst import InvalidMst
from repo.verify import InvalidRepo
from tests.pds.car.cars import DID, POST, RECORDS, REV, car_of, parts_of


@contextmanager
def pipe_of(content: bytes) -> Iterator[BinaryIO]:
    """A pipe into which another thread writes."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb", buffering=0) as source:
        yield source
    thread.join()


def keys_of(repo: RepoFile) -> list[str]:
    return [record.key for record in repo.iter_records()]


def test_a_file_is_read_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.car"
    path.write_bytes(car_of())
    with RepoFile.open(path) as repo:
        assert (repo.commit.did, repo.commit.rev) == (DID, REV)
        assert keys_of(repo) == sorted(RECORDS)
        assert repo.size_bytes == path.stat().st_size


def test_a_pipe_gives_the_same(tmp_path: Path) -> None:
    car = car_of()
    with pipe_of(car) as pipe, RepoFile.read(pipe) as repo:
        assert pipe.closed
        assert keys_of(repo) == sorted(RECORDS)
        assert repo.size_bytes == len(car)


def test_a_file_that_is_not_at_its_start_is_read_from_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before" + car_of())
    file = path.open("rb", buffering=0)
    file.seek(6)
    with RepoFile.read(file) as repo:
        assert keys_of(repo) == sorted(RECORDS)


def test_progress_is_told_in_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.car"
    car = car_of()
    path.write_bytes(car)
    told: list[tuple[str, int, int]] = []
    with RepoFile.open(path, lambda *step: told.append(step)):
        assert told == [(READING, len(car), len(car))]
    told.clear()
    with RepoFile.read(io.BytesIO(car), lambda *step: told.append(step)):
        assert told == [(READING, len(car), 0)]


@pytest.mark.parametrize("car", [b"", car_of()[:-1], b"no CAR at all"], ids=len)
def test_a_refused_file_is_closed(car: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.car"
    path.write_bytes(car)
    file = path.open("rb", buffering=0)
    with pytest.raises((InvalidCar, InvalidRepo)):
        RepoFile.read(file)
    assert file.closed


def test_records_of_one_collection_are_those_of_its_name_alone() -> None:
    records: dict[str, dict[str, Any]] = {
        f"{collection}/{rkey}": {}
        for collection in ("com.example.a", "com.example.a.b", "com.example.ab", "com.example.b")
        for rkey in "xyz"
    }
    with RepoFile.read(io.BytesIO(car_of(records))) as repo:
        found = [record.key for record in repo.iter_records("com.example.a")]
        assert found == ["com.example.a/x", "com.example.a/y", "com.example.a/z"]
        assert list(repo.iter_records("com.example.c")) == []


def test_a_record_is_found_by_its_key() -> None:
    with RepoFile.read(io.BytesIO(car_of())) as repo:
        record = repo.find("com.example.note/same2")
        assert record is not None
        assert record in list(repo.iter_records())
        assert repo.find(f"{POST}/absent") is None
        with pytest.raises(InvalidMst):
            repo.find("no key")


def test_looking_for_one_record_does_not_need_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = parts_of({f"{POST}/{n:05}": {"n": n} for n in range(500)})
    with RepoFile.read(io.BytesIO(parts.encode())) as repo:
        read = 0
        get_block = repo.blocks.get_block

        def counting(cid: Cid) -> bytes:
            nonlocal read
            read += 1
            return get_block(cid)

        monkeypatch.setattr(repo.blocks, "get_block", counting)
        assert repo.find(f"{POST}/00250") is not None
        assert 0 < read < 10 < parts.nodes
