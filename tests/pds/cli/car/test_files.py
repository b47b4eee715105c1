"""`pds car unpack`, `pack` and `diff`: an archivist's day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pds.car.cars import (
    DID,
    FIXTURE_CARS,
    KEY,
    OTHER_KEY,
    POST,
    RECORDS,
    REV,
    car_of,
    parts_of,
    parts_of_blocks,
)
from tests.pds.cli.car.conftest import run_car
from tests.repo.odd_records import NOTE, ODD, SHOWN


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY.export())
    return path


@pytest.mark.parametrize("path", FIXTURE_CARS, ids=lambda path: path.stem)
def test_what_is_unpacked_and_packed_is_the_same_repository(path: Path, tmp_path: Path) -> None:
    run_car("unpack", path, tmp_path / "x")
    done = run_car("pack", tmp_path / "x", tmp_path / "x.car")
    assert (done.status, done.out) == (0, b"")
    assert "with the signature it had" in done.err
    assert run_car("diff", path, tmp_path / "x.car").status == 0
    before, after = (
        json.loads(run_car("inspect", p, "--json").out) for p in (path, tmp_path / "x.car")
    )
    assert before["roots"] == after["roots"]


def test_a_record_is_edited_and_signed(car: Path, key_file: Path, tmp_path: Path) -> None:
    directory = tmp_path / "alice"
    done = run_car("unpack", car, directory)
    assert (done.status, done.out) == (0, b"")
    assert done.err == f"{directory}: {len(RECORDS)} records of {DID}\n"
    post = directory / POST / "3jzfcijpj2z2a.json"
    post.write_text(post.read_text().replace("number 2", "edited"))
    (directory / POST / "3jzfcijpj2z3a.json").unlink()
    (directory / POST / "new.json").write_text("{}")
    new = tmp_path / "new.car"
    refused = run_car("pack", directory, new)
    assert (refused.status, new.exists()) == (1, False)
    assert "--key FILE" in refused.err
    done = run_car("pack", directory, new, "--key", key_file)
    assert (done.status, done.out) == (0, b"")
    assert "newly signed" in done.err
    assert "Note" not in done.err
    assert run_car("verify", new, "--key", KEY.did_key).status == 0
    diff = run_car("diff", car, new)
    assert diff.status == 1
    assert [line.split()[:2] for line in diff.lines] == [
        ["~", f"{POST}/3jzfcijpj2z2a"],
        ["-", f"{POST}/3jzfcijpj2z3a"],
        ["+", f"{POST}/new"],
    ]
    assert [line.count("bafy") for line in diff.lines] == [2, 1, 1]
    actions = [json.loads(line)["action"] for line in run_car("diff", car, new, "--json").lines]
    assert actions == ["update", "delete", "create"]


def test_another_key_is_remarked_on(car: Path, tmp_path: Path) -> None:
    run_car("unpack", car, tmp_path / "alice")
    (tmp_path / "other").write_text(OTHER_KEY.export().hex())
    done = run_car("pack", tmp_path / "alice", tmp_path / "b.car", "--key", tmp_path / "other")
    assert done.status == 0
    assert "Note: the commit before was signed with another key" in done.err


def test_pack_replaces_a_file_only_by_a_whole_one(car: Path, tmp_path: Path) -> None:
    run_car("unpack", car, tmp_path / "alice")
    (tmp_path / "alice" / POST / "bad.json").write_text("{")
    target = tmp_path / "target.car"
    target.write_bytes(b"before")
    assert run_car("pack", tmp_path / "alice", target).status == 1
    assert target.read_bytes() == b"before"
    (tmp_path / "alice" / POST / "bad.json").unlink()
    assert run_car("pack", tmp_path / "alice", target).status == 0
    assert target.read_bytes() != b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alice", "alice.car", "target.car"]


def test_a_directory_may_be_packed_into_a_pipe(car: Path, tmp_path: Path) -> None:
    run_car("unpack", "-", tmp_path / "alice", stdin=car.read_bytes())
    done = run_car("pack", tmp_path / "alice", "-")
    assert done.status == 0
    run_car("pack", tmp_path / "alice", tmp_path / "b.car")
    assert done.out == (tmp_path / "b.car").read_bytes()
    assert run_car("verify", "-", stdin=done.out).status == 0


def test_a_relative_name_is_one_in_this_directory(car: Path, tmp_path: Path) -> None:
    run_car("unpack", "alice.car", "alice", cwd=tmp_path)
    assert run_car("pack", "alice", "b.car", cwd=tmp_path).status == 0
    (tmp_path / "empty").mkdir()
    assert run_car("unpack", car, ".", cwd=tmp_path / "empty").status == 0
    assert (tmp_path / "empty" / "_commit.json").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ("unpack", "{car}", "{dir}"),
        ("unpack", "{car}", "{dir}/no/such"),
        ("unpack", "{absent}", "{dir}/x"),
        ("pack", "{dir}", "{dir}/x.car"),
        ("pack", "{absent}", "{dir}/x.car"),
        ("pack", "{dir}", "{dir}/x.car", "--key", "{car}"),
        ("pack", "{dir}", "{dir}/x.car", "--key", "{absent}"),
    ],
    ids=" ".join,
)
def test_refusals_say_what_is_wrong(car: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    names = {"car": car, "dir": tmp_path, "absent": tmp_path / "absent"}
    done = run_car(*(word.format(**names) for word in words))
    assert (done.status, done.out) == (1, b"")
    assert done.err.startswith("Error: ")
    assert str(tmp_path) in done.err
    assert list(tmp_path.iterdir()) == [car]


def test_diff_tells_equal_from_different_from_trouble(car: Path, tmp_path: Path) -> None:
    same = tmp_path / "same.car"
    same.write_bytes(car_of(rev="3n2qm55oosc3x"))
    assert run_car("diff", car, same).status == 0
    assert run_car("diff", car, same).out == b""
    broken = tmp_path / "broken.car"
    broken.write_bytes(car.read_bytes()[:-1])
    for pair in ((car, broken), (broken, car), (car, tmp_path / "absent")):
        done = run_car("diff", *pair)
        assert (done.status, done.out) == (2, b"")
        assert done.err.startswith(f"Error: {next(p for p in pair if p != car)}: ")
    assert run_car("diff", "-", "-").status == 2


def test_diff_reads_one_of_the_two_from_a_pipe(car: Path) -> None:
    other = car_of({**RECORDS, f"{POST}/new": {}})
    assert run_car("diff", car, "-", stdin=other).lines[0].startswith(f"+ {POST}/new ")
    assert run_car("diff", "-", car, stdin=other).lines[0].startswith(f"- {POST}/new ")


def test_diff_of_two_accounts_remarks_on_it(car: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.car"
    other.write_bytes(parts_of(did="did:plc:" + "a" * 24, rev=REV).encode())
    done = run_car("diff", car, other)
    assert done.status == 0
    assert "Note: two accounts" in done.err


def test_a_repository_with_odd_records_can_be_worked_with(tmp_path: Path, key_file: Path) -> None:
    blocks = {f"{NOTE}/{n:02}": block for n, block in enumerate(ODD.values())}
    car, directory, again = tmp_path / "odd.car", tmp_path / "odd", tmp_path / "again.car"
    car.write_bytes(parts_of_blocks(blocks).encode())
    done = run_car("unpack", car, directory)
    assert done.status == 0
    assert done.err.count(" is odd: ") == len(ODD)
    assert len(list((directory / NOTE).glob("*.dag-cbor"))) == len(ODD)
    done = run_car("pack", directory, again)
    assert done.status == 0
    assert done.err.count(" is odd: ") == len(ODD)
    assert run_car("diff", car, again).status == 0
    assert run_car("verify", again, "--key", KEY.did_key).status == 0
    assert run_car("inspect", again).status == 0
    assert len(run_car("ls", again).lines) == len(ODD)
    assert run_car("ls", again, "--blobs").status == 0
    for number, (name, block) in enumerate(ODD.items()):
        done = run_car("get", car, f"{NOTE}/{number:02}", "--raw")
        assert (done.status, done.out) == (0, block)
        if number % 5 == 0:
            done = run_car("get", car, f"{NOTE}/{number:02}")
            assert done.status == (0 if name in SHOWN else 1), name
            assert "cannot be shown as JSON" in done.err or name in SHOWN


def test_nothing_is_unpacked_to_standard_output(car: Path, tmp_path: Path) -> None:
    done = run_car("unpack", car, "-", cwd=tmp_path)
    assert (done.status, done.out) == (2, b"")
    assert "files cannot be written to standard output: name a directory" in done.err
    assert list(tmp_path.glob("-*")) == []
    assert run_car("unpack", car, "./-", cwd=tmp_path).status == 0
