"""Restores from replicas of other kinds: plain Litestream, sealed keys, a bucket."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from pds.replication.copies.sealing import KeySealer, KeySecret, open_with_passphrase
from pds.replication.errors import WrongKeySecret
from pds.replication.replica import names
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.manifest import join_replica, read_manifest
from pds.replication.replica.opening import open_place
from pds.replication.replica.url import ReplicaUrl
from pds.replication.restore.report import Lack
from tests.pds.replication.real_litestream import start_plainly
from tests.pds.replication.restore.origin import Origin, contents
from tests.reference.data import NAMES, unpack
from tests.seaweedfs import SeaweedFs

_REPLICATED_S = 60.0
PASSPHRASE = "correct horse battery staple"


async def replicate_plainly(data: Path, replica: Path, expected: list[Path]) -> None:
    """Run Litestream with Holdfast's litestream.yml until it has the `expected` databases."""
    process = start_plainly(data, {"LITESTREAM_REPLICA": f"file://{replica}"})
    try:
        async with asyncio.timeout(_REPLICATED_S):
            while not all(list((replica / path).rglob("*.ltx")) for path in expected):
                assert process.poll() is None
                await asyncio.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(_REPLICATED_S) == 0


async def test_a_replica_of_plain_litestream_has_databases_and_no_keys(tmp_path: Path) -> None:
    origin = Origin(unpack(tmp_path / "data"), tmp_path / "replica")
    databases = sorted(origin.data.rglob("*.sqlite"))
    names_in_replica = [path.relative_to(origin.data) for path in databases]
    await replicate_plainly(origin.data, origin.replica, names_in_replica)
    to = tmp_path / "restored"
    report = await origin.restore(to).run()
    assert (report.totals.databases, report.totals.keys) == (6, 0)
    found = {(one.kind, one.subject) for one in report.findings}
    without_blobs = {(kind, did) for kind, did in found if kind is not Lack.BLOB}
    assert without_blobs == {(Lack.NO_KEY, origin.did(name)) for name in NAMES}
    for name, path in zip(names_in_replica, databases, strict=True):
        assert contents(to / name) == contents(path)


async def seal_keys(origin: Origin) -> None:
    """Replace the keys in the replica by sealed ones."""
    for key in (*origin.replica.glob("actors/??/*/key"), *origin.replica.glob("actors/res*/*")):
        key.unlink()
    place = FilePlace(origin.replica)
    for file in list(origin.replica.iterdir()):
        # A place is joined while it is empty.
        file.rename(origin.replica.parent / f"{file.name}.aside")
    manifest = await join_replica(
        place, service_did="did:web:x", server_id="x", seal=KeySecret(PASSPHRASE).seal
    )
    for file in origin.replica.parent.glob("*.aside"):
        file.rename(origin.replica / file.name.removesuffix(".aside"))
    sealer = KeySealer(manifest.key_sealing)
    origin.copy_keys(sealer.seal, sealer.suffix)
    (origin.replica / "hold.env.age").write_bytes(sealer.seal(b"PDS_JWT_SECRET=x\n"))


async def test_sealed_keys_are_opened(origin: Origin, tmp_path: Path) -> None:
    await seal_keys(origin)
    assert list(origin.replica.rglob("key")) == []
    manifest = await read_manifest(FilePlace(origin.replica))
    assert manifest is not None
    opener = await open_with_passphrase(manifest.key_sealing, PASSPHRASE)
    to = tmp_path / "restored"
    report = await origin.restore(to, opener=opener).run()
    assert report.is_complete
    assert (report.totals.keys, report.totals.reserved_keys) == (6, 1)
    for path in (*origin.data.glob("actors/??/*/key"), *origin.reserved()):
        assert (to / path.relative_to(origin.data)).read_bytes() == path.read_bytes()
    assert (to / "hold.env").read_bytes() == b"PDS_JWT_SECRET=x\n"
    assert (to / "hold.env").stat().st_mode & 0o777 == 0o600


async def test_a_sealed_key_that_is_damaged_is_listed(origin: Origin, tmp_path: Path) -> None:
    await seal_keys(origin)
    damaged = origin.replica / (names.actor_key(origin.did("bob")) + names.SEALED)
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    manifest = await read_manifest(FilePlace(origin.replica))
    assert manifest is not None
    opener = await open_with_passphrase(manifest.key_sealing, PASSPHRASE)
    report = await origin.restore(tmp_path / "restored", opener=opener).run()
    assert [(one.kind, one.subject) for one in report.findings] == [
        (Lack.DAMAGED_KEY, origin.did("bob"))
    ]


async def test_a_secret_that_opens_nothing_ends_the_restore_which_goes_on_with_the_right_one(
    origin: Origin, tmp_path: Path
) -> None:
    await seal_keys(origin)

    class Wrong:
        def open(self, _data: bytes) -> bytes:
            raise WrongKeySecret("the identity does not open a signing key of the replica")

    to = tmp_path / "restored"
    with pytest.raises(WrongKeySecret, match="does not open"):
        await origin.restore(to, opener=Wrong()).run()
    manifest = await read_manifest(FilePlace(origin.replica))
    assert manifest is not None
    opener = await open_with_passphrase(manifest.key_sealing, PASSPHRASE)
    report = await origin.restore(to, opener=opener).run()
    assert (report.is_resumed, report.findings, report.totals.keys) == (True, [], 6)


async def test_a_replica_in_a_bucket_comes_back(
    origin: Origin, tmp_path: Path, seaweedfs: SeaweedFs
) -> None:
    url = ReplicaUrl.parse(seaweedfs.replica_url((await seaweedfs.create_bucket()).bucket))
    place = open_place(url, environ=seaweedfs.credentials)
    try:
        for path in sorted(origin.replica.rglob("*")):
            if path.is_file():
                await place.upload(str(path.relative_to(origin.replica)), path)
        to = tmp_path / "restored"
        report = await origin.restore(to, place=place).run()
    finally:
        await place.close()
    assert report.is_complete
    assert (report.totals.databases, report.totals.blobs) == (6, len(origin.blobs()))
    for name in NAMES:
        store = origin.store(name).relative_to(origin.data)
        assert contents(to / store) == contents(origin.data / store)
