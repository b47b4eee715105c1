"""A hold's actor in real processes: crashes at every step of its first start, and its uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pds.hold.records import CAPTAIN, CREW, PROFILE, crew_rkey
from tests.e2e.test_fault_points import events_of
from tests.e2e.world import ENVIRON, REACHED_S, World
from tests.e2e.world_hold import environ_of, hold_of, registry_of
from tests.processes import run_pds


def crash(world: World, point: str) -> None:
    """Start the hold, which ends at `point` before it serves."""
    world.server.launch(fault=point, **ENVIRON, **environ_of(world))
    assert world.server.wait_ended(REACHED_S), f"{point} was not reached"


async def check(world: World) -> None:
    """The hold is there as after one start without a crash."""
    await world.check(accounts=3)
    did = hold_of(world)
    paths = {f"{CAPTAIN}/self", f"{CREW}/{crew_rkey(world.alice.did)}", f"{PROFILE}/self"}
    assert world.watcher.copies[did].records.keys() == paths
    assert events_of(world.server.data, did)[:2] == ["identity", "account"]
    query = {"repo": did, "collection": CAPTAIN, "rkey": "self"}
    status, answer = await world.get("com.atproto.repo.getRecord", **query)
    assert (status, answer["value"]["owner"]) == (200, world.alice.did)


@pytest.mark.parametrize(
    "point",
    [
        *("journaled", "store-filled", "key-written", "store-created", "hold-row"),
        *("journal-drop", "journal-dropped", "log-commit", "log-committed"),
        *("hold-account", "hold-records"),
    ],
)
async def test_a_crash_in_the_first_start_is_made_good_by_the_next(
    world: World, point: str
) -> None:
    crash(world, point)
    world.start(**environ_of(world))
    await check(world)


@pytest.mark.parametrize("point", ["store-commit", "store-committed", "log-commit"])
async def test_a_crash_while_the_records_are_written(world: World, point: str) -> None:
    crash(world, "hold-account")
    crash(world, point)
    world.start(**environ_of(world))
    await check(world)


async def test_a_crash_is_undone_by_a_start_that_is_no_hold_any_more(world: World) -> None:
    crash(world, "store-created")
    world.start()
    await world.check(accounts=2)
    world.server.stop()
    world.start(**environ_of(world))
    await check(world)


async def test_a_kill_later_loses_nothing(world: World) -> None:
    world.start(**environ_of(world))
    world.server.kill()
    world.start(**environ_of(world, PDS_HOLD_PUBLIC="true"))
    await check(world)
    world.server.kill()
    world.start(**environ_of(world, PDS_HOLD_PUBLIC="true"))
    await check(world)


async def test_a_start_with_another_owner_is_refused_with_what_to_do(world: World) -> None:
    world.start(**environ_of(world))
    world.server.stop()
    world.server.launch(**ENVIRON, **environ_of(world, PDS_HOLD_OWNER=world.bob.did))
    assert world.server.wait_ended()
    assert f"set PDS_HOLD_OWNER={world.alice.did}" in world.server.log()
    world.start(**environ_of(world))
    await check(world)


async def test_an_account_of_the_same_server_gets_tokens_for_the_hold(world: World) -> None:
    world.start(**environ_of(world))
    token = await registry_of(world).token(world.alice)
    assert token["Authorization"].count(".") == 2


async def test_export_verifies_and_doctor_finds_nothing_wrong(world: World, tmp_path: Path) -> None:
    world.start(**environ_of(world))
    did, car = hold_of(world), tmp_path / "hold.car"
    document: Any
    async with world.http.get(f"{world.server.url}/.well-known/did.json") as response:
        document = await response.json()
    key = f"did:key:{document['verificationMethod'][0]['publicKeyMultibase']}"
    env_file = str(world.server.data / "dev.env")
    done = run_pds("doctor", "--env-file", env_file, "--identities", "--json")
    report = json.loads(done.stdout)
    wrong = [each for each in report["findings"] if each["status"] not in ("ok", "skipped")]
    assert [each for each in wrong if did in json.dumps(each) or "hold" in json.dumps(each)] == []
    _, exported = await world.get("com.atproto.sync.getRepo", did=did)
    car.write_bytes(exported)
    done = run_pds("car", "verify", str(car), "--key", key)
    assert done.returncode == 0, done.stdout + done.stderr
