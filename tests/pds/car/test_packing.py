"""Unpacking and packing: exact inverses, and nothing half done."""

from __future__ import annotations

import io
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pds.car.errors import PackRefused, UnpackRefused
from pds.car.packing import PackedRepo, Signing, pack
from pds.car.repo_file import RepoFile
from pds.car.unpacking import unpack
from pds.car.verification import verify
from repo.keys import K256PrivateKey
from repo.mst import MissingBlock
from repo.odd_record import find_oddity
from repo.tid import TidClock
from repo.verify import InvalidRepo
from tests.pds.car.cars import (
    BLOB,
    FIXTURE_CARS,
    KEY,
    OTHER_KEY,
    POST,
    RECORDS,
    REV,
    Parts,
    car_of,
    parts_of,
    parts_of_blocks,
)
from tests.pds.car.test_file_names import keys
from tests.repo.odd_records import any_blocks
from tests.repo.values import keys as field_names
from tests.repo.values import values

NOW_US = 2_000_000_000_000_000


def unpacked(car: bytes, directory: Path) -> Path:
    with RepoFile.read(io.BytesIO(car)) as repo:
        unpack(repo, directory)
    return directory


def packed(directory: Path, key: K256PrivateKey | None = None) -> tuple[PackedRepo, bytes]:
    signing = None if key is None else Signing(key, TidClock(lambda: NOW_US, 7))
    with tempfile.TemporaryFile() as spool:
        result = pack(directory, spool, signing=signing)
        return result, b"".join(result.iter_car())


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The repository of `RECORDS`, unpacked."""
    return unpacked(car_of(), tmp_path / "alice")


# --- There and back


@pytest.mark.parametrize("path", FIXTURE_CARS, ids=lambda path: path.stem)
def test_the_root_of_a_reference_car_comes_back(path: Path, tmp_path: Path) -> None:
    car = path.read_bytes()
    result, again = packed(unpacked(car, tmp_path / "x"))
    with RepoFile.read(io.BytesIO(car)) as before, RepoFile.read(io.BytesIO(again)) as after:
        assert after.root == before.root == result.signed.cid
        assert after.commit_block == before.commit_block
        assert len(after.blocks) == len(before.blocks)
        assert verify(after, key=None).notes == []
    assert not result.is_new_commit


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(keys, st.dictionaries(field_names, values, max_size=4), max_size=8))
def test_any_records_come_back_in_the_same_bytes(records: dict[str, Any]) -> None:
    parts = parts_of(records)
    with tempfile.TemporaryDirectory() as name:
        first, car = packed(unpacked(parts.encode(), Path(name) / "a"))
        second, again = packed(unpacked(car, Path(name) / "b"))
    assert [first.signed.cid] == parts.roots
    assert car == again
    assert first.records == second.records == len(records)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(keys, any_blocks, min_size=1, max_size=8))
def test_odd_records_come_back_in_the_same_bytes_and_are_told_of(blocks: dict[str, bytes]) -> None:
    parts = parts_of_blocks(blocks)
    with tempfile.TemporaryDirectory() as name:
        directory = unpacked(parts.encode(), Path(name) / "a")
        result, car = packed(directory)
        newly, _ = packed(directory, KEY)
    assert [result.signed.cid] == parts.roots
    odd = [key for key, block in blocks.items() if find_oddity(block, key.partition("/")[0])]
    assert result.odd.count == newly.odd.count == len(odd)
    with RepoFile.read(io.BytesIO(car)) as repo:
        found = {record.key: repo.blocks.get_block(record.cid) for record in repo.iter_records()}
    assert found == blocks


@pytest.mark.parametrize(
    "value",
    [
        {"$link": "not a CID"},
        {"$bytes": 7},
        {"a": {"$link": "x", "more": 1}},
        {"$type": 5},
        {"$type": "blob"},
        {"$bytes": "AA"},
    ],
    ids=str,
)
def test_a_record_that_json_would_change_is_kept_as_dag_cbor(value: Any, tmp_path: Path) -> None:
    parts = parts_of({f"{POST}/a": value})
    directory = unpacked(parts.encode(), tmp_path / "x")
    assert sorted(files_of(directory)) == ["_commit.json", f"{POST}/a.dag-cbor"]
    assert packed(directory)[0].signed.cid == parts.roots[0]


def test_files_are_json_by_collection_and_rkey(directory: Path) -> None:
    files = files_of(directory)
    assert len(files) == len(RECORDS) + 1
    assert "com.example.note/%55%50%50%45%52.json" in files
    assert json.loads(files["com.example.note/%55%50%50%45%52.json"]) == {
        "bytes": {"$bytes": "AP8"},
        "link": {"$link": str(BLOB)},
    }
    commit = json.loads(files["_commit.json"])
    assert commit.keys() == {"did", "version", "data", "rev", "prev", "sig"}
    assert commit["rev"] == REV
    assert commit["prev"] is None


def test_a_car_has_the_commit_first_then_the_tree_in_order(directory: Path) -> None:
    _, car = packed(directory)
    parts = parts_of()
    with RepoFile.read(io.BytesIO(car)) as repo:
        offsets = {cid: repo.blocks.find_offset(cid) or 0 for cid, _ in parts.blocks}
        assert min(offsets, key=lambda cid: offsets[cid]) == repo.root
        records = [offsets[record.cid] for record in repo.iter_records()]
        assert records == sorted(records) or len(set(records)) < len(records)
        assert list(dict.fromkeys(records)) == sorted(set(records))
    assert len(car) == len(parts.encode())


# --- Signing


def test_changes_are_signed_as_a_new_commit_with_a_higher_rev(directory: Path) -> None:
    (directory / POST / "3jzfcijpj2z2a.json").write_text('{"$type": "app.bsky.feed.post"}')
    (directory / POST / "3jzfcijpj2z3a.json").unlink()
    (directory / "com.example.new").mkdir()
    (directory / "com.example.new" / "self.json").write_text('{"n": 1.0}')
    result, car = packed(directory, KEY)
    assert result.is_new_commit
    assert result.is_same_key
    with RepoFile.read(io.BytesIO(car)) as repo:
        assert verify(repo, key=KEY.public).is_sound
        assert repo.commit.rev > REV
        found = {record.key for record in repo.iter_records()}
    assert found == {*RECORDS, "com.example.new/self"} - {f"{POST}/3jzfcijpj2z3a"}


def test_the_rev_rises_although_the_commit_is_ahead_of_the_clock(tmp_path: Path) -> None:
    ahead = "7zzzzzzzzzz22"
    result, _ = packed(unpacked(car_of(rev=ahead), tmp_path / "x"), KEY)
    assert result.signed.commit.rev > ahead


def test_a_rev_above_which_there_is_none_is_refused(tmp_path: Path) -> None:
    directory = unpacked(car_of(rev="jzzzzzzzzzzzz"), tmp_path / "x")
    with pytest.raises(PackRefused, match="no rev above"):
        packed(directory, KEY)


def test_another_key_than_before_is_told(directory: Path) -> None:
    assert not packed(directory, OTHER_KEY)[0].is_same_key


def change(path: Path) -> None:
    path.write_text('{"text": "changed"}')


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: change(d / POST / "3jzfcijpj2z2a.json"),
        lambda d: (d / POST / "3jzfcijpj2z2a.json").unlink(),
        lambda d: change(d / POST / "new.json"),
    ],
    ids=["changed", "removed", "added"],
)
def test_changed_records_are_not_packed_without_a_key(directory: Path, edit: Any) -> None:
    edit(directory)
    with pytest.raises(PackRefused, match=r"not those that its commit signs .* --key FILE"):
        packed(directory)


def test_a_file_written_otherwise_is_the_same_record(directory: Path) -> None:
    path = directory / POST / "3jzfcijpj2z2a.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(fields.items()))))
    assert packed(directory)[0].signed.cid == parts_of().roots[0]


# --- What is not packed


def test_hidden_files_are_left_alone(directory: Path) -> None:
    (directory / ".git").mkdir()
    (directory / ".git" / "config").write_text("x")
    (directory / POST / ".DS_Store").write_text("x")
    assert packed(directory)[0].records == len(RECORDS)


def spoil(directory: Path, path: str, content: bytes | None) -> None:
    target = directory / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        target.symlink_to("/etc/passwd")
    else:
        target.write_bytes(content)


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        (f"{POST}/x.json~", b"{}", "move it away"),
        (f"{POST}/x.txt", b"{}", "move it away"),
        ("notes.json", b"{}", "name that unpack would not give"),
        (f"{POST}/X.json", b"{}", f"has to be {POST}/%58.json"),
        (f"{POST}/x.json", b"{", "is not a record"),
        (f"{POST}/x.json", b"", "is not a record"),
        (f"{POST}/x.json", b"[]", "it is not a map"),
        (f"{POST}/x.json", b'{"n": 1.5}', r"got 1.5\) at \$.n"),
        (f"{POST}/x.json", b'{"n": 123456789012345678901}', "is not a record"),
        (f"{POST}/x.json", b'{"a": "\xff"}', "is not a record"),
        (f"{POST}/x.json", b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "is not a record"),
        (f"{POST}/x.json", b'{"e": [], "l": null}', "form of a tree node"),
        (f"{POST}/x.json", b'{"l": {"$link": "x"}}', "Invalid CID"),
        (f"{POST}/x.json", b'{"a": "%s"}' % (b"x" * 2_100_000), "of 1000000 allowed"),
        (f"{POST}/x.json", b" " * 13_000_000, "has more than"),
        (f"{POST}/x.json", None, "symbolic link"),
        (f"{POST}/x.dag-cbor", b"\xa2ae\x80al\xf6", "form of a tree node"),
        (f"{POST}/x.dag-cbor", b"x" * 2_100_000, "has 2,100,000 bytes"),
        (f"{POST}/3jzfcijpj2z2a.dag-cbor", b"\xa0", "has two files"),
        ("d/" * 400 + "x.json", b"{}", "deeper than"),
        ("_commit.json", b"{}", "is not a commit"),
        ("_commit.json", b"x", "is not a commit"),
    ],
)
def test_what_is_no_record_is_named(
    directory: Path, path: str, content: bytes | None, reason: str
) -> None:
    spoil(directory, path, content)
    with pytest.raises(PackRefused, match=reason) as refused:
        packed(directory, KEY)
    assert Path(path).name.partition(".")[0] in str(refused.value) or "deeper" in reason


def test_a_directory_without_a_commit_is_refused(directory: Path, tmp_path: Path) -> None:
    (directory / "_commit.json").unlink()
    for each in (directory, tmp_path / "absent"):
        with pytest.raises(PackRefused, match="not an unpacked CAR"):
            packed(each, KEY)


# --- What is not unpacked


def broken() -> Iterator[tuple[str, bytes]]:
    sound = parts_of()
    record = sound.blocks[-1][0]
    yield "a missing record", Parts(sound.roots, sound.blocks[:-1], 0).encode()
    node = sound.blocks[1][0]
    blocks = [block for block in sound.blocks if block[0] not in (node, record)]
    yield "a missing node", Parts(sound.roots, blocks, 0).encode()
    yield "a key that leads out", car_of({**RECORDS, "com.example.x/..": {}})


BROKEN = dict(broken())


@pytest.mark.parametrize("car", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("exists", [True, False], ids=["into an empty one", "into a new one"])
def test_a_refused_unpack_leaves_nothing(car: bytes, exists: bool, tmp_path: Path) -> None:
    directory = tmp_path / "x"
    if exists:
        directory.mkdir()
    with pytest.raises((InvalidRepo, MissingBlock)):
        unpacked(car, directory)
    assert directory.exists() == exists
    assert not any(tmp_path.rglob("*.json"))
    assert [path.name for path in tmp_path.rglob("*")] == ["x"] * exists


def test_a_directory_with_something_in_it_is_refused(directory: Path) -> None:
    before = files_of(directory)
    with pytest.raises(UnpackRefused, match="is not empty"):
        unpacked(car_of(), directory)
    assert files_of(directory) == before


def test_nothing_is_written_outside_of_the_directory(tmp_path: Path) -> None:
    strange = [
        *("...", "-", "~", ":", "a:b", "CON", "nul", "a" * 512, "A" * 512, "._", "_"),
        *("".join(pair) for pair in itertools.product("aA.", repeat=2) if pair != (".", ".")),
    ]
    records = {f"com.example.x/{rkey}": {"r": rkey} for rkey in strange}
    directory = unpacked(car_of(records), tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert len(files_of(directory)) == len(records) + 1
    assert packed(directory)[0].signed.cid == parts_of(records).roots[0]


def test_records_are_counted(tmp_path: Path) -> None:
    with RepoFile.read(io.BytesIO(car_of())) as repo:
        assert unpack(repo, tmp_path / "x") == len(RECORDS)
