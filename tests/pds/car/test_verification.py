"""Verification: sound repositories are sound, and every damage is named by its place."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pds.car.repo_file import RepoFile
from pds.car.verification import Verdict, verify
from repo import dagcbor
from repo.car import InvalidCar, encode_block
from repo.cid import Cid
from repo.keys import parse_did_key
from repo.mst import MstError
from repo.verify import InvalidRepo
from tests.pds.car.cars import (
    FIXTURE_CARS,
    KEY,
    OTHER_KEY,
    POST,
    RECORDS,
    car_of,
    parts_of,
    parts_of_blocks,
)
from tests.pds.car.damaged_cars import DAMAGED_CARS, ODD_CARS, names_its_place
from tests.reference.data import PLC_FILE

DAMAGED = (InvalidCar, InvalidRepo, MstError)


def check(car: bytes) -> Verdict:
    with RepoFile.read(io.BytesIO(car)) as repo:
        return verify(repo, key=None)


def reasons(car: bytes) -> list[str]:
    """Everything that is wrong with a CAR."""
    try:
        return check(car).faults
    except DAMAGED as exc:
        return [str(exc)]


# --- Sound ones


@pytest.mark.parametrize("path", FIXTURE_CARS, ids=lambda path: path.stem)
def test_the_repositories_of_the_reference_are_sound_and_signed(path: Path) -> None:
    with RepoFile.open(path) as repo:
        key = parse_did_key(signing_key(repo.commit.did))
        verdict = verify(repo, key=key)
    assert verdict.is_sound
    assert verdict.is_signed
    assert verdict.notes == []


def signing_key(did: str) -> str:
    """The did:key of an account in the fixture's PLC directory."""
    text = PLC_FILE.read_text()
    found = re.search(r'"atproto": ?"(did:key:\w+)"', text[text.index(f'"{did}"') :])
    assert found is not None
    return found[1]


def test_a_sound_repository_is_sound() -> None:
    parts = parts_of()
    verdict = check(parts.encode())
    assert verdict.is_sound
    assert (verdict.records, verdict.nodes) == (len(RECORDS), parts.nodes)
    assert verdict.notes == []
    assert verdict.is_signed is None


def test_the_order_of_blocks_does_not_matter() -> None:
    parts = parts_of()
    parts.blocks.reverse()
    assert check(parts.encode()).is_sound


def test_an_empty_repository_is_sound() -> None:
    verdict = check(car_of({}))
    assert verdict.is_sound
    assert (verdict.records, verdict.nodes) == (0, 1)


def test_the_signature_is_that_of_the_key() -> None:
    with RepoFile.read(io.BytesIO(car_of())) as repo:
        assert verify(repo, key=KEY.public).is_signed
        verdict = verify(repo, key=OTHER_KEY.public)
    assert not verdict.is_sound
    assert str(repo.root) in verdict.faults[0]
    assert OTHER_KEY.did_key in verdict.faults[0]


def test_blocks_in_no_use_are_noted_and_do_no_harm() -> None:
    parts = parts_of()
    strays = [Cid.of_raw(b"%d" % n) for n in range(5)]
    parts.blocks += [(cid, b"%d" % n) for n, cid in enumerate(strays)]
    parts.blocks += parts.blocks[3:5]
    verdict = check(parts.encode())
    assert verdict.is_sound
    unused, repeated = verdict.notes
    assert "5 blocks of 5 bytes in no use" in unused
    assert str(strays[0]) in unused
    assert "at byte" in unused
    assert "and 2 more" in unused
    assert repeated == "2 blocks repeated"


# --- Damaged ones


@pytest.mark.parametrize(("car", "part"), DAMAGED_CARS.values(), ids=DAMAGED_CARS.keys())
def test_every_damage_is_refused_and_named(car: bytes, part: str) -> None:
    (reason,) = reasons(car)
    assert part in reason
    assert names_its_place(reason) or "roots" in reason


def test_faults_of_records_are_all_told_with_their_bytes() -> None:
    nodes = [dagcbor.encode({"e": [n], "l": None}) for n in range(7)]
    parts = parts_of_blocks({f"{POST}/{n}": node for n, node in enumerate(nodes)})
    car = parts.encode()
    verdict = check(car)
    assert verdict.fault_count == 7
    for node, fault in zip(nodes, verdict.faults, strict=True):
        block = encode_block(Cid.of_dag_cbor(node), node)
        assert f"at byte {car.index(block)} of the CAR" in fault


def test_beyond_a_hundred_faults_are_counted_only() -> None:
    parts = parts_of_blocks(
        {f"{POST}/{n:03}": dagcbor.encode({"e": [n], "l": None}) for n in range(150)}
    )
    verdict = check(parts.encode())
    assert (len(verdict.faults), verdict.fault_count) == (100, 150)


@pytest.mark.parametrize(("car", "part"), ODD_CARS.values(), ids=ODD_CARS.keys())
def test_a_repository_with_an_odd_record_is_intact_but_not_sound(car: bytes, part: str) -> None:
    verdict = check(car)
    assert (verdict.is_intact, verdict.is_sound, verdict.faults) == (True, False, [])
    assert verdict.odd.count == 1
    (example,) = verdict.odd.examples
    assert part in example
    assert verdict.odd.lines() == [example]


def test_beyond_a_hundred_odd_records_are_counted_only() -> None:
    parts = parts_of_blocks({f"{POST}/{n:03}": b"\xff%d" % n for n in range(150)})
    verdict = check(parts.encode())
    assert (len(verdict.odd.examples), verdict.odd.count) == (100, 150)
    assert verdict.odd.lines()[-1] == "and 50 odd records more"


CASES = Path(__file__).resolve().parents[2] / "fixtures" / "cars"


def test_inputs_that_went_wrong_get_the_right_verdict() -> None:
    for name, reason in (
        ("record-float.car", "float has no place in the data model"),
        ("record-uint64.car", "integer is beyond 2^53 - 1"),
        ("uppercase-nsid.car", "upper-case letters in its authority"),
    ):
        verdict = check((CASES / name).read_bytes())
        assert (verdict.is_intact, verdict.is_sound, verdict.odd.count) == (True, False, 1)
        assert reason in verdict.odd.examples[0]
    with pytest.raises(InvalidRepo, match="has a rev of 12 characters, not of 13"):
        check((CASES / "rev-12-characters.car").read_bytes())


def outcome(car: bytes) -> tuple[Cid, dict[str, bytes]] | str:
    """The root and records of a CAR that is sound and signed, or why it is refused."""
    try:
        with RepoFile.read(io.BytesIO(car)) as repo:
            verdict = verify(repo, key=KEY.public)
            if not verdict.is_sound:
                return verdict.faults[0]
            records = repo.iter_records()
            return repo.root, {r.key: repo.blocks.get_block(r.cid) for r in records}
    except DAMAGED as exc:
        return str(exc)


def is_refused(result: object) -> bool:
    """Whether `outcome` is a reason that names its place, if it has one."""
    return isinstance(result, str) and (
        names_its_place(result) or "0 roots" in result or "it is empty" in result
    )


SMALL = car_of({f"{POST}/a": {"text": "hello"}, f"{POST}/b": {"n": 1}, "com.example.x/c": {}})


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF], ids=hex)
def test_every_flipped_byte_is_refused_or_changes_nothing(flip: int) -> None:
    whole = outcome(SMALL)
    assert not isinstance(whole, str)
    for position in range(len(SMALL)):
        car = bytearray(SMALL)
        car[position] ^= flip
        result = outcome(bytes(car))
        assert result == whole or is_refused(result), (position, result)


@pytest.mark.parametrize(
    "damage",
    [lambda car, at: car[:at], lambda car, at: car[:at] + car[at + 1 :]],
    ids=["cut off there", "one byte missing"],
)
def test_every_missing_byte_is_refused(damage: Callable[[bytes, int], bytes]) -> None:
    for position in range(len(SMALL)):
        result = outcome(damage(SMALL, position))
        assert is_refused(result), (position, result)
