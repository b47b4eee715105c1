"""Signing keys on disk, and keys reserved for actors to come."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from actor_store.errors import InvalidStoreName, TooManyReservedKeys
from actor_store.keys import RESERVATION_S, SURE_S, SigningKeys, write_key
from actor_store.layout import ActorLayout
from repo.keys import K256PrivateKey, PrivateKey
from tests.actor_store.support import DID, OTHER_DID


def test_key_is_remembered_and_forgotten(layout: ActorLayout) -> None:
    keys = SigningKeys(layout)
    layout.directory(DID).mkdir(parents=True)
    first, second = K256PrivateKey.generate(), K256PrivateKey.generate()
    write_key(layout.key(DID), first)
    assert keys.get(DID).did_key == first.did_key
    write_key(layout.key(DID), second)
    assert keys.get(DID).did_key == first.did_key
    keys.forget(DID)
    assert keys.get(DID).did_key == second.did_key


def test_key_file_is_for_its_owner_and_leaves_nothing_beside_it(layout: ActorLayout) -> None:
    layout.directory(DID).mkdir(parents=True)
    write_key(layout.key(DID), K256PrivateKey.generate())
    assert layout.key(DID).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in layout.directory(DID).iterdir()] == ["key"]


def test_key_reserved_for_a_did_is_the_same_each_time(layout: ActorLayout) -> None:
    keys = SigningKeys(layout)
    reserved = keys.reserve(DID)
    assert keys.reserve(DID).did_key == reserved.did_key
    assert keys.reserve(OTHER_DID).did_key != reserved.did_key
    found = keys.find_reserved(DID)
    assert found is not None
    assert found.export() == reserved.export()
    assert layout.reserved_key(DID).read_bytes() == reserved.export()


def test_key_reserved_for_nobody_is_kept_under_its_own_name(layout: ActorLayout) -> None:
    keys = SigningKeys(layout)
    first, second = keys.reserve(), keys.reserve()
    assert first.did_key != second.did_key
    found = keys.find_reserved(first.did_key)
    assert found is not None
    assert found.did_key == first.did_key


def test_released_key_is_gone(layout: ActorLayout) -> None:
    keys = SigningKeys(layout)
    key = keys.reserve()
    keys.release(key.did_key)
    keys.release(key.did_key)
    assert keys.find_reserved(key.did_key) is None


def test_calls_at_once_for_a_did_reserve_one_key(layout: ActorLayout) -> None:
    keys = SigningKeys(layout)
    with ThreadPoolExecutor(8) as pool:
        reserved = {key.did_key for key in pool.map(lambda _: keys.reserve(DID), range(8))}
    assert len(reserved) == 1


@pytest.mark.parametrize(
    "name", ["did:web:a/b", "did:web:a\\b", "../key", ".did", "did:web:" + "a" * 300]
)
def test_key_is_not_reserved_under_a_name_that_is_a_path(layout: ActorLayout, name: str) -> None:
    with pytest.raises(InvalidStoreName):
        SigningKeys(layout).reserve(name)
    assert not (layout.actors_dir / "reserved_keys").exists()


def test_so_many_keys_are_reserved_and_only_old_ones_make_room(
    layout: ActorLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actor_store.keys.MAX_RESERVED_KEYS", 3)
    keys = SigningKeys(layout)
    old, *others = (keys.reserve() for _ in range(3))
    with pytest.raises(TooManyReservedKeys):
        keys.reserve(DID)
    assert keys.find_reserved(DID) is None
    age(layout, old, RESERVATION_S + 60)
    age(layout, others[0], RESERVATION_S - 60)
    # What is reserved already is found, however many there are.
    keys.reserve(DID)
    keys.reserve(DID)
    assert keys.find_reserved(old.did_key) is None
    assert all(keys.find_reserved(key.did_key) is not None for key in others)


def test_who_asks_often_takes_the_place_of_nobody_else(
    layout: ActorLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actor_store.keys.MAX_RESERVED_KEYS", 3)
    keys = SigningKeys(layout)
    mine = keys.reserve(DID, holder="me")
    flood = [keys.reserve(holder="stranger") for _ in range(50)]
    kept = [key for key in flood if keys.find_reserved(key.did_key) is not None]
    assert kept == flood[-2:]
    assert keys.reserve(DID, holder="me").did_key == mine.did_key
    # And who comes later finds room.
    theirs = keys.reserve(OTHER_DID, holder="another")
    assert keys.reserve(OTHER_DID, holder="another").did_key == theirs.did_key


def test_the_only_key_of_a_holder_is_sure_of_its_place_for_an_hour(
    layout: ActorLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actor_store.keys.MAX_RESERVED_KEYS", 3)
    keys = SigningKeys(layout)
    oldest, *others = [keys.reserve(holder=f"stranger {n}") for n in range(3)]
    age(layout, oldest, SURE_S - 60)
    with pytest.raises(TooManyReservedKeys):
        keys.reserve(DID, holder="me")
    age(layout, oldest, SURE_S + 60)
    keys.reserve(DID, holder="me")
    assert keys.find_reserved(oldest.did_key) is None
    assert all(keys.find_reserved(key.did_key) is not None for key in others)


def age(layout: ActorLayout, key: PrivateKey, seconds: float) -> None:
    """Backdate the reservation of a key."""
    then = time.time() - seconds
    os.utime(layout.reserved_key(key.did_key), (then, then))
