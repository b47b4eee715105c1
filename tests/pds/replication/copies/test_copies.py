"""Keys and blobs together, as a supervisor has them copied."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actor_store.keys import write_key
from actor_store.layout import ActorLayout
from database.connection import Database
from pds.replication.copies.blobs import BLOBS_ON_S3
from pds.replication.copies.copies import Copies
from pds.replication.copies.sealing import KeySecret, open_with_passphrase
from pds.replication.options import ReplicationOptions, SealingOptions
from pds.replication.replica import names
from pds.replication.replica.url import ReplicaUrl
from repo.keys import K256PrivateKey
from tests.pds.replication.copies.kit import WatchedPlace, files_of, put, put_blob

ALICE = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
PASSPHRASE = "correct horse battery staple"


def options(data: Path, *, on_s3: bool = False) -> ReplicationOptions:
    return ReplicationOptions(
        replica=ReplicaUrl.parse(f"file://{data}/replica"),
        service_did="did:web:localhost",
        data_directory=data,
        account_db=data / "account.sqlite",
        sequencer_db=data / "sequencer.sqlite",
        did_cache_db=data / "did_cache.sqlite",
        hold_db=data / "hold.sqlite",
        actors_directory=data / "actors",
        blob_directory=None if on_s3 else data / "blobs",
        sealing=SealingOptions(passphrase=PASSPHRASE),
    )


def make_actor(data: Path) -> bytes:
    layout, key = ActorLayout(data / "actors"), K256PrivateKey.generate()
    layout.directory(ALICE).mkdir(parents=True)
    layout.store(ALICE).touch()
    write_key(layout.key(ALICE), key)
    return key.export()


async def test_the_passphrase_opens_a_copied_key(
    tmp_path: Path, ledger: Database, place: WatchedPlace, replica: Path
) -> None:
    key = make_actor(tmp_path)
    sealing = await KeySecret(passphrase=PASSPHRASE).seal(None)
    copies = Copies(options(tmp_path), ledger, place, sealing)
    await copies.copy_key(ALICE)
    opener = await open_with_passphrase(sealing, PASSPHRASE)
    [(name, sealed)] = files_of(replica).items()
    assert name == names.actor_key(ALICE) + names.SEALED
    assert opener.open(sealed) == key
    assert copies.keys_copied == 1


async def test_noticed_blobs_are_copied_before_a_stop(
    tmp_path: Path, ledger: Database, place: WatchedPlace, replica: Path
) -> None:
    cid = put_blob(tmp_path / "blobs" / ALICE, b"one")
    sealing = await KeySecret(in_clear=True).seal(None)
    copies = Copies(options(tmp_path), ledger, place, sealing)
    copies.notice(ALICE)
    await copies.finish()
    assert list(files_of(replica)) == [f"blobs/{ALICE}/{cid}"]
    assert (copies.blobs_copied, copies.status.blob_bytes_copied) == (1, 3)


async def test_blobs_on_s3_stay_there_and_the_status_says_so(
    tmp_path: Path, ledger: Database, place: WatchedPlace, replica: Path
) -> None:
    key = make_actor(tmp_path)
    put_blob(tmp_path / "blobs" / ALICE, b"one")
    sealing = await KeySecret(in_clear=True).seal(None)
    copies = Copies(options(tmp_path, on_s3=True), ledger, place, sealing)
    task = asyncio.create_task(copies.run())
    copies.notice(ALICE)
    await place.has_taken.wait()
    task.cancel()
    assert files_of(replica) == {names.actor_key(ALICE): key}
    assert copies.warnings == (BLOBS_ON_S3,)


@pytest.mark.parametrize("on_s3", [True, False])
async def test_what_cannot_be_copied_is_named(
    tmp_path: Path, ledger: Database, place: WatchedPlace, *, on_s3: bool
) -> None:
    make_actor(tmp_path)
    put(ActorLayout(tmp_path / "actors").key(ALICE), b"no key")
    sealing = await KeySecret(in_clear=True).seal(None)
    copies = Copies(options(tmp_path, on_s3=on_s3), ledger, place, sealing)
    await copies.copy_key(ALICE)
    assert f"{ALICE}/key is not a signing key" in copies.warnings[0]
    assert (copies.status.failing, copies.keys_copied) == (1, 0)
