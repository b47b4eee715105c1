"""The manifest: whose replica it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from pds.replication.errors import (
    DamagedReplicaFile,
    ForeignReplica,
    ReplicaInUse,
    ReplicaRefused,
    ReplicaUnavailable,
    WrongKeySecret,
)
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.manifest import (
    CLEAR,
    PASSPHRASE,
    RECIPIENT,
    Manifest,
    Sealing,
    check_replica,
    join_replica,
    read_manifest,
    retire_server,
)
from pds.replication.replica.place import ReplicaPlace

SERVICE = "did:web:pds.example.com"
SEALING = Sealing(PASSPHRASE, "age1x", "-----BEGIN AGE ENCRYPTED FILE-----")


async def seal(before: Sealing | None) -> Sealing:
    return SEALING if before is None else before


@pytest.fixture
def directory(tmp_path: Path) -> FilePlace:
    (tmp_path / "directory").mkdir()
    return FilePlace(tmp_path / "directory")


async def test_the_first_to_join_makes_the_manifest_and_others_find_it(
    place: ReplicaPlace,
) -> None:
    assert await read_manifest(place) is None
    assert await check_replica(place, service_did=SERVICE) is None
    made = await join_replica(place, service_did=SERVICE, server_id="a", seal=seal)
    expected = Manifest(SERVICE, "a", PASSPHRASE, SEALING.recipient, SEALING.sealed_identity)
    assert made.replica_id
    assert replace(made, replica_id=None) == expected
    assert await read_manifest(place) == made
    assert await check_replica(place, service_did=SERVICE) == made
    assert await join_replica(place, service_did=SERVICE, server_id="a", seal=seal) == made


async def test_a_restored_server_goes_on_in_the_same_replica(place: ReplicaPlace) -> None:
    await join_replica(place, service_did=SERVICE, server_id="a", seal=seal)
    await place.write("account.sqlite/ltx/0/x.ltx", b"1")
    joined = await join_replica(place, service_did=SERVICE, server_id="b", seal=seal)
    assert (joined.server_id, joined.key_sealing) == ("b", SEALING)
    assert await read_manifest(place) == joined


async def test_a_server_that_a_standby_has_replaced_is_refused_for_good(
    place: ReplicaPlace,
) -> None:
    made = await join_replica(place, service_did=SERVICE, server_id="a", seal=seal)
    await retire_server(place, made, server_id="b")
    with pytest.raises(ReplicaInUse, match="must not run any more"):
        await join_replica(place, service_did=SERVICE, server_id="a", seal=seal)
    with pytest.raises(ReplicaInUse):
        await check_replica(place, service_did=SERVICE, server_id="a")
    joined = await join_replica(place, service_did=SERVICE, server_id="b", seal=seal)
    assert (joined.server_id, joined.retired) == ("b", ("a",))
    # A promotion that is repeated retires nobody else.
    await retire_server(place, joined, server_id="b")
    assert await read_manifest(place) == joined
    # Restored to yet another machine, the server is none of those.
    await join_replica(place, service_did=SERVICE, server_id="c", seal=seal)


async def test_a_replica_of_another_server_is_refused_unchanged(place: ReplicaPlace) -> None:
    made = await join_replica(place, service_did="did:web:other.test", server_id="a", seal=seal)
    with pytest.raises(ForeignReplica, match=r"did:web:other\.test.*another prefix"):
        await check_replica(place, service_did=SERVICE)
    with pytest.raises(ForeignReplica):
        await join_replica(place, service_did=SERVICE, server_id="a", seal=seal)
    assert await read_manifest(place) == made


async def test_a_place_that_is_used_for_something_else_is_refused(place: ReplicaPlace) -> None:
    await place.write("lease.json", b"{}")
    assert await check_replica(place, service_did=SERVICE) is None
    await place.write("photos/cat.jpg", b"1")
    with pytest.raises(ForeignReplica, match=r"photos/cat\.jpg"):
        await join_replica(place, service_did=SERVICE, server_id="a", seal=seal)
    assert await read_manifest(place) is None


async def test_of_two_that_join_at_once_one_makes_the_manifest(directory: FilePlace) -> None:
    tries = (
        join_replica(directory, service_did=f"did:web:{name}.test", server_id=name, seal=seal)
        for name in ("a", "b", "c")
    )
    results = await asyncio.gather(*tries, return_exceptions=True)
    made = [result for result in results if isinstance(result, Manifest)]
    assert [await read_manifest(directory)] == made
    assert all(
        isinstance(result, Manifest | ReplicaUnavailable | ForeignReplica) for result in results
    )


@pytest.mark.parametrize("now", [Sealing(CLEAR), Sealing(RECIPIENT, "age1y")])
async def test_keys_are_sealed_as_they_were(directory: FilePlace, now: Sealing) -> None:
    made = await join_replica(directory, service_did=SERVICE, server_id="a", seal=seal)

    async def differently(before: Sealing | None) -> Sealing:
        return now

    with pytest.raises(ReplicaRefused, match="sealed in another way"):
        await join_replica(directory, service_did=SERVICE, server_id="a", seal=differently)
    assert await read_manifest(directory) == made


async def test_a_wrong_secret_makes_no_manifest(directory: FilePlace) -> None:
    async def wrong(before: Sealing | None) -> Sealing:
        raise WrongKeySecret("no way is set")

    with pytest.raises(WrongKeySecret):
        await join_replica(directory, service_did=SERVICE, server_id="a", seal=wrong)
    assert await read_manifest(directory) is None


@pytest.mark.parametrize(
    "change",
    [
        *({"format": None}, {"format": 0}, {"format": "1"}, {"service_did": 1}),
        *({"server_id": None}, {"sealing": "rot13"}, {"recipient": 5}, {"recipient": None}),
        {"sealed_identity": None},
    ],
)
async def test_a_damaged_manifest_is_named(directory: FilePlace, change: dict[str, object]) -> None:
    made = await join_replica(directory, service_did=SERVICE, server_id="a", seal=seal)
    fields = orjson.loads(made.encode())
    await directory.write("manifest.json", orjson.dumps(fields | change))
    with pytest.raises(DamagedReplicaFile, match=r"manifest\.json of the replica is no manifest"):
        await join_replica(directory, service_did=SERVICE, server_id="a", seal=seal)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"null", b"1", b" " * 100_000])
async def test_noise_is_no_manifest(directory: FilePlace, data: bytes) -> None:
    await directory.write("manifest.json", data)
    with pytest.raises(DamagedReplicaFile, match=r"manifest\.json"):
        await read_manifest(directory)


async def test_a_replica_of_a_newer_program_is_left_to_it(directory: FilePlace) -> None:
    newer = orjson.dumps({"format": 2, "service_did": SERVICE})
    await directory.write("manifest.json", newer)
    with pytest.raises(ReplicaRefused, match="update it"):
        await join_replica(directory, service_did=SERVICE, server_id="a", seal=seal)
    assert await directory.read("manifest.json", max_bytes=1000) == newer
