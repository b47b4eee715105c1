"""Verification: sound repositories are sound, and every damage is named by its place."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import cbor2
import pytest

from pds.car.repo_file import RepoFile
from pds.car.verification import Verdict, verify
from repo import dagcbor
from repo.car import InvalidCar, encode_block, encode_header, encode_varint
from repo.cid import Cid
from repo.commit import sign_commit
from repo.keys import parse_did_key
from repo.mst import MstError
from repo.verify import InvalidRepo
from tests.pds.car.cars import (
    DID,
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


def names_its_place(reason: str) -> bool:
    return re.search(r"at byte \d+ of the CAR|\bbafy\w{55}\b|\bbafk\w{55}\b", reason) is not None


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


def damaged() -> Iterator[tuple[str, bytes, str]]:
    """What is wrong, the CAR, and a part of the reason."""
    sound = parts_of()
    (root,) = sound.roots
    header = encode_header([root])
    body = sound.encode()[len(header) :]
    yield "nothing", b"", "ends inside its header, at byte 0"
    yield "a header only", header, f"commit {root} is missing"
    yield "no root", encode_header([]) + body, "0 roots"
    yield "two roots", encode_header([root, root]) + body, "2 roots"
    yield "cut off", (header + body)[:-1], "ends inside a block, at byte"
    yield "an oversized header", encode_varint(20_000), "header of 20000 bytes is too large"
    yield "an oversized block", header + encode_varint(3_000_000), f"at byte {len(header)}"
    wrong = encode_block(root, b"\xa0")
    yield "a wrong hash", header + wrong + body, f"does not hash to its CID {root}"
    yield "a root that is raw", encode_header([Cid.of_raw(sound.blocks[0][1])]) + body, "DAG-CBOR"
    node, record = sound.blocks[1][0], sound.blocks[-1][0]
    yield "a root that is a node", encode_header([node]) + body, f"root {node} is no commit"
    yield "a root that is a record", encode_header([record]) + body, f"{record} is no commit"
    yield "a missing node", without(sound, node), f"missing block: {node}"
    yield "a missing record", without(sound, record), f"({record}) is missing"
    yield from damaged_commits(sound)
    yield from damaged_trees()
    yield from damaged_records()


def without(parts: Parts, cid: Cid) -> bytes:
    return Parts(parts.roots, [block for block in parts.blocks if block[0] != cid], 0).encode()


def with_commit(parts: Parts, block: bytes) -> bytes:
    cid = Cid.of_dag_cbor(block)
    return Parts([cid], [(cid, block), *parts.blocks[1:]], 0).encode()


def damaged_commits(sound: Parts) -> Iterator[tuple[str, bytes, str]]:
    fields = dagcbor.decode(sound.blocks[0][1])
    assert isinstance(fields, dict)
    changes: dict[str, dict[str, dagcbor.Value]] = {
        "version 2": {"version": 2},
        "a rev that is no TID": {"rev": "0000000000000"},
        "a DID that is none": {"did": "did:plc:../../etc"},
        "a short signature": {"sig": b"\x00"},
        "data of raw bytes": {"data": Cid.of_raw(b"")},
        "data that is text": {"data": "x"},
    }
    for name, change in changes.items():
        block = dagcbor.encode({**fields, **change})
        place = "raw bytes" if name == "data of raw bytes" else str(Cid.of_dag_cbor(block))
        yield f"a commit with {name}", with_commit(sound, block), place.replace("raw bytes", "bafk")
    loose = cbor2.dumps(dict(reversed(cbor2.loads(sound.blocks[0][1]).items())))
    yield "a commit out of order", with_commit(sound, loose), "not in canonical form"


def damaged_trees() -> Iterator[tuple[str, bytes, str]]:
    record = dagcbor.encode({})
    cid = Cid.of_dag_cbor(record)

    def tree(*blocks: bytes) -> bytes:
        """A CAR with the last of `blocks` as the root of its tree."""
        named = [(Cid.of_dag_cbor(block), block) for block in blocks]
        signed = sign_commit(DID, data=named[-1][0], rev=REV, key=KEY)
        return Parts([signed.cid], [(signed.cid, signed.block), *named, (cid, record)], 0).encode()

    def node(*keys: str, left: Cid | None = None) -> bytes:
        entries = [{"k": key.encode(), "p": 0, "t": None, "v": link(cid)} for key in keys]
        return cbor2.dumps({"e": entries, "l": left and link(left)}, canonical=True)

    empty = node()
    over = node(left=Cid.of_dag_cbor(empty))
    yield (
        "a tree with an empty node",
        tree(empty, over),
        f"no keys but a subtree, at node {Cid.of_dag_cbor(over)}",
    )
    unsorted = node("com.example.b/1", "com.example.a/1")
    yield "a tree out of order", tree(unsorted), str(Cid.of_dag_cbor(unsorted))
    strange = node("../../etc/passwd")
    yield "a tree with a key that is none", tree(strange), str(Cid.of_dag_cbor(strange))
    indefinite = b"\xbfae\x80al\xf6\xff"
    yield "a tree that is not canonical", tree(indefinite), str(Cid.of_dag_cbor(indefinite))
    # A block cannot have its own CID in it, so a circle needs a false CID.
    circle = node(left=Cid.of_dag_cbor(b"circle"))
    forged = Cid.of_dag_cbor(b"circle")
    signed = sign_commit(DID, data=forged, rev=REV, key=KEY)
    parts = Parts([signed.cid], [(signed.cid, signed.block), (forged, circle)], 0)
    yield "a tree in a circle", parts.encode(), f"does not hash to its CID {forged}"


def link(cid: Cid) -> cbor2.CBORTag:
    return cbor2.CBORTag(42, b"\x00" + cid.raw)


def damaged_records() -> Iterator[tuple[str, bytes, str]]:
    bombs = {
        "a list": dagcbor.encode([]),
        "text": dagcbor.encode("x"),
        "bytes that are no CBOR": b"\xff",
        "nothing": b"",
        "keys out of order": b"\xa2abae" + b"\x00aa\x00",
        "a float": b"\xa1aa\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00",
        "an endless list": b"\xa1aa\x9f\x01\xff",
        "a shared value": cbor2.dumps({"a": cbor2.CBORTag(28, [1])}),
        "a list of a claimed billion": b"\xa1aa\x9a\x3b\x9a\xca\x00",
        "a text of a claimed exabyte": b"\xa1aa\x7b\x0f\xff\xff\xff\xff\xff\xff\xff",
        "a depth of 100,000": b"\xa1aa" + b"\x81" * 100_000 + b"\x00",
        "a number longer than need be": b"\xa1aa\x18\x01",
        "more behind it": dagcbor.encode({}) + b"\x00",
    }
    for name, block in bombs.items():
        car = parts_of_blocks({f"{POST}/a": dagcbor.encode({}), f"{POST}/b": block}).encode()
        yield f"a record that is {name}", car, f"{POST}/b ({Cid.of_dag_cbor(block)})"
    empty = Cid.of_dag_cbor(dagcbor.encode({}))
    for key in ("not-an-nsid/a", f"{POST}/.", f"{POST}/..", f"{POST}/{'a' * 513}"):
        yield f"a record at {key[:30]}", car_of({key: {}}), f"({empty}): Invalid"


CASES = {name: (car, part) for name, car, part in damaged()}


@pytest.mark.parametrize(("car", "part"), CASES.values(), ids=CASES.keys())
def test_every_damage_is_refused_and_named(car: bytes, part: str) -> None:
    (reason,) = reasons(car)
    assert part in reason
    assert names_its_place(reason) or "roots" in reason


def test_faults_of_records_are_all_told_with_their_bytes() -> None:
    parts = parts_of_blocks({f"{POST}/{n}": bytes([0xFF, n]) for n in range(7)})
    car = parts.encode()
    verdict = check(car)
    assert verdict.fault_count == 7
    for n, fault in enumerate(verdict.faults):
        block = encode_block(Cid.of_dag_cbor(bytes([0xFF, n])), bytes([0xFF, n]))
        assert f"at byte {car.index(block)} of the CAR" in fault


def test_beyond_a_hundred_faults_are_counted_only() -> None:
    parts = parts_of_blocks({f"{POST}/{n:03}": b"\xff%d" % n for n in range(150)})
    verdict = check(parts.encode())
    assert (len(verdict.faults), verdict.fault_count) == (100, 150)


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
    return isinstance(result, str) and (names_its_place(result) or "0 roots" in result)


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
