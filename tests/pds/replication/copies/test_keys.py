"""Copies of signing keys and other secrets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from actor_store.keys import SigningKeys, write_key
from actor_store.layout import ActorLayout
from database.connection import Database
from pds.replication.copies.key_files import KeyFiles
from pds.replication.copies.key_rows import KeyKind, KeyRows
from pds.replication.copies.keys import KeyCopier
from pds.replication.copies.sealing import KeySealer, KeySecret, open_with_passphrase
from pds.replication.errors import ReplicaUnavailable
from pds.replication.replica import names
from repo.keys import K256PrivateKey
from tests.clock import Clock
from tests.pds.replication.copies.kit import (
    DAY_S,
    RETENTION_S,
    Lid,
    NoLid,
    WatchedPlace,
    away,
    files_of,
    hide,
)

ALICE = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
BOB = "did:web:localhost%3A3000"

Copier = Callable[..., KeyCopier]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def layout(data: Path) -> ActorLayout:
    return ActorLayout(data / "actors")


@pytest.fixture
def keys(
    ledger: Database, data: Path, layout: ActorLayout, place: WatchedPlace, clock: Clock
) -> Copier:
    def make(*, in_clear: bool = False, recipient: str = "age1one") -> KeyCopier:
        return KeyCopier(
            KeyFiles(layout, data),
            KeyRows(ledger),
            place,
            NoLid() if in_clear else Lid(),
            recipient=None if in_clear else recipient,
            retention_s=RETENTION_S,
            clock=clock,
        )

    return make


def make_actor(layout: ActorLayout, did: str) -> bytes:
    key = K256PrivateKey.generate()
    layout.directory(did).mkdir(parents=True)
    write_key(layout.key(did), key)
    layout.store(did).touch()
    return key.export()


async def copy_then_delete_alice(copier: KeyCopier, layout: ActorLayout) -> None:
    """Copy the keys of Alice and Bob, delete Alice, and let the copier see that."""
    make_actor(layout, ALICE)
    make_actor(layout, BOB)
    await copier.sweep()
    layout.store(ALICE).unlink()
    layout.key(ALICE).unlink()
    layout.directory(ALICE).rmdir()
    await copier.sweep()


def sealed_name(did: str) -> str:
    return names.actor_key(did) + ".age"


@pytest.mark.parametrize("did", [ALICE, BOB])
async def test_a_key_is_copied_sealed(
    keys: Copier, layout: ActorLayout, replica: Path, did: str
) -> None:
    key = make_actor(layout, did)
    await keys().copy_key(did)
    assert files_of(replica) == {sealed_name(did): b"sealed:" + key}


async def test_the_passphrase_opens_a_copied_key(
    ledger: Database, data: Path, layout: ActorLayout, place: WatchedPlace, replica: Path
) -> None:
    key = make_actor(layout, ALICE)
    passphrase = "correct horse battery staple"
    sealing = await KeySecret(passphrase=passphrase).seal(None)
    copier = KeyCopier(
        KeyFiles(layout, data),
        KeyRows(ledger),
        place,
        KeySealer(sealing),
        recipient=sealing.recipient,
        retention_s=RETENTION_S,
    )
    await copier.copy_key(ALICE)
    opener = await open_with_passphrase(sealing, passphrase)
    assert opener.open(files_of(replica)[sealed_name(ALICE)]) == key


async def test_a_key_that_the_replica_has_is_not_copied_again(
    keys: Copier, layout: ActorLayout, replica: Path
) -> None:
    make_actor(layout, ALICE)
    await keys().copy_key(ALICE)
    (replica / sealed_name(ALICE)).unlink()
    await keys().copy_key(ALICE)
    await keys().sweep()
    assert files_of(replica) == {}


async def test_a_key_file_that_only_looks_new_is_not_copied_again(
    keys: Copier, layout: ActorLayout
) -> None:
    make_actor(layout, ALICE)
    await keys().copy_key(ALICE)
    os.utime(layout.key(ALICE), ns=(1, 1))
    again = keys()
    await again.copy_key(ALICE)
    assert again.copied == 0


async def test_a_new_signing_key_replaces_the_copy(
    keys: Copier, layout: ActorLayout, replica: Path
) -> None:
    make_actor(layout, ALICE)
    copier = keys()
    await copier.copy_key(ALICE)
    new = K256PrivateKey.generate()
    write_key(layout.key(ALICE), new)
    await copier.copy_key(ALICE)
    assert files_of(replica) == {sealed_name(ALICE): b"sealed:" + new.export()}


async def test_calls_at_once_copy_a_key_once(keys: Copier, layout: ActorLayout) -> None:
    make_actor(layout, ALICE)
    copier = keys()
    await asyncio.gather(*(copier.copy_key(ALICE) for _ in range(5)))
    assert copier.copied == 1


async def test_no_key_is_in_the_ledger(
    keys: Copier, layout: ActorLayout, data: Path, ledger: Database
) -> None:
    key = make_actor(layout, ALICE)
    (data / "hold.env").write_text("PDS_ADMIN_PASSWORD=monday\n")
    await keys().sweep()
    ledger.checkpoint()
    contents = ledger.path.read_bytes()
    assert key not in contents
    assert KeyRows(ledger).find(KeyKind.FILE, "hold.env").digest == b""  # type: ignore[union-attr]


async def test_a_sweep_copies_every_secret(
    keys: Copier, layout: ActorLayout, data: Path, replica: Path
) -> None:
    for did in (ALICE, BOB):
        make_actor(layout, did)
    reserved = await asyncio.to_thread(SigningKeys(layout).reserve, "did:plc:someone")
    other = await asyncio.to_thread(SigningKeys(layout).reserve)
    (data / "hold.env").write_text("PDS_JWT_SECRET=abc\n")
    (data / "dev.env").write_text("PDS_PORT=2583\n")
    await keys().sweep()
    assert sorted(files_of(replica)) == sorted(
        [
            sealed_name(ALICE),
            sealed_name(BOB),
            "actors/reserved_keys/did:plc:someone.age",
            f"actors/reserved_keys/{other.did_key}.age",
            "hold.env.age",
        ]
    )
    copy = replica / "actors/reserved_keys/did:plc:someone.age"
    assert copy.read_bytes() == b"sealed:" + reserved.export()


async def test_a_new_reserved_key_is_found_without_a_sweep(
    keys: Copier, layout: ActorLayout, replica: Path
) -> None:
    copier = keys()
    await copier.copy_new_reserved()
    for did in ("did:plc:one", "did:plc:two"):
        await asyncio.to_thread(SigningKeys(layout).reserve, did)
        await copier.copy_new_reserved()
        assert f"actors/reserved_keys/{did}.age" in files_of(replica)


async def test_a_changed_file_of_secrets_is_copied_again(
    keys: Copier, data: Path, replica: Path
) -> None:
    for text in ("one", "another"):
        (data / "hold.env").write_text(text)
        await keys().sweep()
        assert files_of(replica) == {"hold.env.age": b"sealed:" + text.encode()}


@pytest.mark.parametrize("data_", [b"", b"x" * 31, bytes(32), b"x" * 33])
async def test_a_damaged_key_does_not_replace_its_copy(
    keys: Copier, layout: ActorLayout, replica: Path, data_: bytes
) -> None:
    make_actor(layout, ALICE)
    copier = keys()
    await copier.copy_key(ALICE)
    before = files_of(replica)
    layout.key(ALICE).write_bytes(data_)
    await copier.copy_key(ALICE)
    await copier.sweep()
    assert files_of(replica) == before
    [problem] = copier.problems.first(9)
    assert str(layout.key(ALICE)) in problem


async def test_a_lost_key_is_reported_and_its_copy_kept_for_as_long_as_the_actor_is_here(
    keys: Copier, layout: ActorLayout, replica: Path, clock: Clock
) -> None:
    make_actor(layout, ALICE)
    copier = keys()
    await copier.copy_key(ALICE)
    layout.key(ALICE).unlink()
    for _ in range(3):
        await copier.sweep()
        clock.now_s += 10 * DAY_S
    assert list(files_of(replica)) == [sealed_name(ALICE)]
    [problem] = copier.problems.first(9)
    assert f"pds key rotate {ALICE}" in problem


async def test_the_key_of_a_deleted_actor_is_removed_after_the_retention(
    keys: Copier, layout: ActorLayout, replica: Path, clock: Clock
) -> None:
    copier = keys()
    await copy_then_delete_alice(copier, layout)
    clock.now_s += RETENTION_S - 60
    await copier.sweep()
    assert sealed_name(ALICE) in files_of(replica)
    clock.now_s += DAY_S
    await copier.sweep()
    assert list(files_of(replica)) == [sealed_name(BOB)]


async def test_a_released_reserved_key_is_removed_after_the_retention(
    keys: Copier, layout: ActorLayout, replica: Path, clock: Clock
) -> None:
    make_actor(layout, ALICE)
    store = SigningKeys(layout)
    await asyncio.to_thread(store.reserve, BOB)
    copier = keys()
    await copier.sweep()
    store.release(BOB)
    await copier.sweep()
    clock.now_s += RETENTION_S + DAY_S
    await copier.sweep()
    assert list(files_of(replica)) == [sealed_name(ALICE)]


async def test_an_actor_that_returns_keeps_its_copy(
    keys: Copier, layout: ActorLayout, replica: Path, clock: Clock
) -> None:
    copier = keys()
    await copy_then_delete_alice(copier, layout)
    key = make_actor(layout, ALICE)
    clock.now_s += RETENTION_S + DAY_S
    await copier.sweep()
    assert files_of(replica)[sealed_name(ALICE)] == b"sealed:" + key


async def test_nothing_is_removed_while_all_actors_are_missing(
    keys: Copier, layout: ActorLayout, replica: Path, clock: Clock
) -> None:
    make_actor(layout, ALICE)
    copier = keys()
    await copier.sweep()
    hide(layout.actors_dir)
    for _ in range(2):
        await copier.sweep()
        clock.now_s += RETENTION_S + DAY_S
    assert list(files_of(replica)) == [sealed_name(ALICE)]


async def test_copies_in_the_clear_go_when_keys_are_sealed(
    keys: Copier, layout: ActorLayout, replica: Path
) -> None:
    key = make_actor(layout, ALICE)
    await keys(in_clear=True).sweep()
    assert files_of(replica) == {names.actor_key(ALICE): key}
    await keys().sweep()
    assert files_of(replica) == {sealed_name(ALICE): b"sealed:" + key}


async def test_keys_are_sealed_anew_for_another_recipient(
    keys: Copier, layout: ActorLayout
) -> None:
    make_actor(layout, ALICE)
    await keys().sweep()
    other = keys(recipient="age1two")
    await other.sweep()
    assert other.copied == 1


async def test_a_key_that_could_not_be_copied_is_copied_later(
    keys: Copier, layout: ActorLayout, replica: Path
) -> None:
    make_actor(layout, ALICE)
    copier = keys()
    with away(replica), pytest.raises(ReplicaUnavailable):
        await copier.copy_key(ALICE)
    await copier.copy_key(ALICE)
    assert list(files_of(replica)) == [sealed_name(ALICE)]


async def test_it_goes_on_after_the_replica_was_away(
    keys: Copier,
    place: WatchedPlace,
    layout: ActorLayout,
    replica: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_actor(layout, ALICE)
    copier = keys()
    failed, back = asyncio.Event(), asyncio.Event()

    async def wait(_: object) -> None:
        failed.set()
        await back.wait()

    monkeypatch.setattr("pds.replication.copies.pace.BackOff.wait", wait)
    with away(replica):
        task = asyncio.create_task(copier.run())
        await failed.wait()
        assert copier.error is not None
    back.set()
    await place.has_taken.wait()
    task.cancel()
    assert list(files_of(replica)) == [sealed_name(ALICE)]
