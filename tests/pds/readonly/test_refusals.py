"""Files that are no repository: each is refused by the byte or CID at fault, and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pds.readonly.loading import BadCar, LoadedCar, load_car
from repo import dagcbor
from repo.car import encode_car
from repo.cid import Cid
from repo.tid import encode_tid
from tests.pds.api.exports import read_car
from tests.pds.car.cars import DID, KEY, OTHER_KEY, POST, RECORDS, REV, car_of, parts_of
from tests.pds.car.damaged_cars import DAMAGED_CARS, names_its_place
from tests.pds.conftest import Account, Pds
from tests.pds.identities import register_foreign_did
from tests.pds.readonly.shelves import open_shelf

SMALL = car_of({f"{POST}/a": {"text": "hello"}, f"{POST}/b": {"n": 1}, "com.example.x/c": {}})


def load(directory: Path, car: bytes) -> LoadedCar | BadCar:
    path = directory / "x.car"
    path.write_bytes(car)
    return load_car(path, directory / "x.sqlite")


def reason_of(loaded: LoadedCar | BadCar) -> str:
    assert isinstance(loaded, BadCar)
    told = ("has 0 roots", "it is empty")
    assert names_its_place(loaded.reason) or any(text in loaded.reason for text in told), loaded
    return loaded.reason


def test_a_sound_file_is_loaded_at_the_rev_of_its_commit(tmp_path: Path) -> None:
    parts = parts_of()
    loaded = load(tmp_path, parts.encode())
    assert isinstance(loaded, LoadedCar)
    assert (loaded.did, loaded.cid, loaded.records) == (DID, str(parts.roots[0]), len(RECORDS))
    assert (loaded.commit.rev, loaded.block) == (REV, parts.blocks[0][1])


def test_a_commit_at_the_end_of_the_file_is_found(tmp_path: Path) -> None:
    parts = parts_of()
    parts.blocks.reverse()
    assert isinstance(load(tmp_path, parts.encode()), LoadedCar)


@pytest.mark.parametrize("car", [car for car, _ in DAMAGED_CARS.values()], ids=DAMAGED_CARS.keys())
def test_every_damage_is_refused_with_its_place(tmp_path: Path, car: bytes) -> None:
    reason_of(load(tmp_path, car))


def test_a_commit_of_the_future_is_refused(tmp_path: Path) -> None:
    rev = encode_tid(4_000_000_000_000_000, 0)
    assert "more than a day ahead" in reason_of(load(tmp_path, car_of(rev=rev)))


def test_revs_at_the_beginning_of_time_are_kept(tmp_path: Path) -> None:
    for micros in (0, 1, 2):
        loaded = load(tmp_path, car_of(rev=encode_tid(micros, 1023)))
        assert isinstance(loaded, LoadedCar)
        assert loaded.commit.rev == encode_tid(micros, 1023)


@pytest.mark.parametrize(
    "damage",
    [
        lambda car, at: car[:at] + bytes([car[at] ^ 1]) + car[at + 1 :],
        lambda car, at: car[:at],
        lambda car, at: car[:at] + car[at + 1 :],
    ],
    ids=["a bit flipped", "cut off", "one byte missing"],
)
def test_damage_anywhere_is_refused_with_its_place(
    tmp_path: Path, damage: Callable[[bytes, int], bytes]
) -> None:
    # A step that meets header, lengths, CIDs, commit, signature, nodes and records.
    for at in range(0, len(SMALL), 7):
        reason_of(load(tmp_path, damage(SMALL, at)))


async def test_refused_files_leave_nothing_and_the_sound_one_is_served(
    pds: Pds, tmp_path: Path
) -> None:
    cars = tmp_path / "cars"
    cars.mkdir()
    for number, (car, _) in enumerate(DAMAGED_CARS.values()):
        (cars / f"{number}.car").write_bytes(car)
    (cars / "sound.car").write_bytes(car_of())
    with open_shelf(pds.ctx, tmp_path, [cars]) as shelf:
        counts = await shelf.library.update()
        assert (counts.loaded, counts.refused) == (1, len(DAMAGED_CARS))
        assert shelf.dids() == [DID]
        assert len(shelf.problems()) == len(DAMAGED_CARS)
        assert list(shelf.loading.iterdir()) == []
    assert list(pds.ctx.actor_store.iter_dids()) == [DID]


async def test_another_key_s_signature_is_refused_by_the_cid_of_the_commit(
    pds: Pds, alice: Account, tmp_path: Path
) -> None:
    parts = parts_of(did=alice.did, key=OTHER_KEY)
    (tmp_path / "alice.car").write_bytes(parts.encode())
    with open_shelf(pds.ctx, tmp_path, [tmp_path / "alice.car"], verification="available") as shelf:
        await shelf.library.update()
        assert str(parts.roots[0]) in shelf.problems()["alice.car"]
        assert shelf.dids() == []


async def test_a_key_that_the_did_has_named_before_has_signed(pds: Pds, tmp_path: Path) -> None:
    owner = register_foreign_did(pds)
    owner.name_key(pds, KEY)
    owner.name_key(pds, OTHER_KEY)
    (tmp_path / "old.car").write_bytes(parts_of(did=owner.did, key=KEY).encode())
    with open_shelf(pds.ctx, tmp_path, [tmp_path / "old.car"], verification="strict") as shelf:
        await shelf.library.update()
        assert shelf.problems() == {}
        (repo,) = shelf.catalog.repos(limit=2)
        assert (repo.did, repo.signature) == (owner.did, "valid")


async def test_a_flipped_bit_of_the_signature_is_refused(
    pds: Pds, alice: Account, tmp_path: Path
) -> None:
    (root,), blocks = read_car((await pds.get("com.atproto.sync.getRepo", did=alice.did)).body)
    commit = dagcbor.decode(blocks[root])
    assert isinstance(commit, dict)
    sig = commit["sig"]
    assert isinstance(sig, bytes)
    forged = dagcbor.encode({**commit, "sig": bytes([*sig[:-1], sig[-1] ^ 1])})
    cid = Cid.of_dag_cbor(forged)
    (tmp_path / "alice.car").write_bytes(encode_car([cid], [*blocks.items(), (cid, forged)]))
    with open_shelf(pds.ctx, tmp_path, [tmp_path / "alice.car"], verification="strict") as shelf:
        await shelf.library.update()
        assert f"the commit {cid} is not signed" in shelf.problems()["alice.car"]
