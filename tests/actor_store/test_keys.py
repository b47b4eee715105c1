"""Signing keys on disk, and keys reserved for actors to come."""

from __future__ import annotations

from actor_store.keys import SigningKeys, write_key
from actor_store.layout import ActorLayout
from repo.keys import K256PrivateKey
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
