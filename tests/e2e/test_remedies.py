"""What the server tells an operator to type, typed: the problem is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pds.config.env_file import read_env_file
from tests.e2e.test_damage import overwrite_wal, remove_directory, report_of
from tests.e2e.world import World
from tests.processes import run_pds
from tests.typed import Replica, type_commands

_NOBODY = 65534
_ROTATION_KEY = "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX"
_LEAVE_CHECKPOINTS = {"PDS_SQLITE_DISABLE_WAL_AUTO_CHECKPOINT": "true"}


@pytest.fixture
def replica(world: World, tmp_path: Path) -> Replica:
    """Of the server of `world`, in a directory."""
    return Replica(world.server.data, tmp_path / "replica")


@pytest.mark.parametrize("damage", [overwrite_wal, remove_directory])
async def test_a_damaged_store_comes_back_by_the_remedy_of_the_log(
    world: World, replica: Replica, damage: Callable[[Path], None]
) -> None:
    store = world.store_of(world.alice)
    key = (store.parent / "key").read_bytes()
    for rkey in ("second", "third"):  # Replication goes on after a restore.
        world.start(**_LEAVE_CHECKPOINTS)
        await world.create(world.alice, rkey)
        await world.watcher.catch_up()
        replica.send()
        world.server.kill()
        damage(store)
        world.start(**_LEAVE_CHECKPOINTS)
        assert (await world.try_to_create(world.alice, "refused"))[0] == 503
        remedy = report_of(world)["remedy"]
        world.server.stop()
        type_commands(remedy, **replica.environ)
        if not (store.parent / "key").exists():
            (store.parent / "key").write_bytes(key)
    world.start()
    await world.create(world.alice, "last")
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first", "second", "third", "last"}


async def test_a_lost_key_comes_back_by_its_remedy_and_the_store_stays(
    world: World, tmp_path: Path
) -> None:
    backup = shutil.copytree(world.server.data, tmp_path / "backup")
    world.start()
    await world.create(world.alice, "after-the-backup")
    world.server.stop()
    (world.store_of(world.alice).parent / "key").unlink()
    world.start()
    assert (await world.try_to_create(world.alice, "refused"))[0] == 503
    remedy = report_of(world)["remedy"]
    world.server.stop()
    type_commands(remedy, BACKUP=str(backup))
    world.start()
    await world.create(world.alice, "last")
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first", "after-the-backup", "last"}


def give_away(directory: Path, uid: int) -> None:
    """Let another user own all of it."""
    for path in (directory, *directory.rglob("*")):
        os.chown(path, uid, uid)


def whole_actor(store: Path) -> Path:
    """The directory and all in it."""
    return store.parent


def store_only(store: Path) -> Path:
    """One file."""
    return store


def key_only(store: Path) -> Path:
    """The signing key."""
    return store.parent / "key"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("part", [whole_actor, store_only, key_only])
@pytest.mark.parametrize("crashed", [False, True], ids=["stopped", "crashed"])
async def test_what_another_user_owns_is_given_back_by_the_remedy_of_the_log(
    world: World, part: Callable[[Path], Path], crashed: bool
) -> None:
    world.server.powerless = True
    world.start()
    await world.create(world.alice, "second")
    if crashed:
        world.server.kill()
    else:
        world.server.stop()
    taken = part(world.store_of(world.alice))
    give_away(taken, _NOBODY)
    taken.chmod(0o700 if taken.is_dir() else 0o600)
    world.start()
    assert (await world.try_to_create(world.alice, "refused"))[0] == 503
    remedy = report_of(world)["remedy"]
    assert "chown" in remedy
    world.server.stop()
    type_commands(remedy)
    world.start()
    await world.create(world.alice, "last")
    await world.watcher.catch_up()
    assert await world.records(world.alice) == {"first", "second", "last"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["actors", "account.sqlite", "holdfast.lock"])
async def test_a_start_that_is_refused_for_want_of_permission_is_not_after_its_remedy(
    world: World, name: str
) -> None:
    world.server.powerless = True
    taken = world.server.data / name
    taken.touch()
    give_away(taken, _NOBODY)
    taken.chmod(0o700 if taken.is_dir() else 0o600)
    with pytest.raises(RuntimeError) as refused:
        world.start()
    type_commands(str(refused.value))
    world.start()
    await world.create(world.alice, "second")
    await world.check(accounts=2)


async def test_a_wrong_rotation_key_is_told_and_mended_by_its_remedy(world: World) -> None:
    env_file = world.server.data / "dev.env"
    right = read_env_file(env_file)[_ROTATION_KEY]
    world.start(**{_ROTATION_KEY: "22" * 32})
    status, answer = await rename(world, "alicia.test")
    assert (status, answer["error"]) == (400, "InvalidRequest")
    assert "does not list the rotation key did:key:" in answer["message"]
    (line,) = (line for line in world.server.log().splitlines() if "cannot be changed" in line)
    command = ["account", "update-handle", world.alice.did, "alicia.test"]
    told = run_pds(*command, "--env-file", str(env_file)).stderr
    for remedy in (json.loads(line)["remedy"], told):
        assert f"Set {_ROTATION_KEY} to the key that the accounts were made with" in remedy
    world.server.stop()
    world.start(**{_ROTATION_KEY: right})
    assert (await rename(world, "alicia.test"))[0] == 200
    await world.check(accounts=2)


async def rename(world: World, handle: str) -> tuple[int, Any]:
    """Ask for another handle of alice."""
    return await world.call("com.atproto.identity.updateHandle", world.alice.auth, handle=handle)


async def test_an_account_whose_key_has_no_backup_gets_another_by_the_remedy(world: World) -> None:
    world.start()
    await world.watcher.catch_up()
    world.server.stop()
    world.watcher.keys.clear()  # Only what comes is signed with another one.
    (world.store_of(world.alice).parent / "key").unlink()
    world.start()
    assert (await world.try_to_create(world.alice, "refused"))[0] == 503
    without_backup = report_of(world)["remedy"].partition("Without a backup, ")[2]
    environ = read_env_file(world.server.data / "dev.env")
    type_commands(without_backup.replace("`pds ", f"`{sys.executable} -m pds "), **environ)
    await world.create(world.alice, "second")
    await world.watcher.catch_up()
    assert await world.records(world.alice) == {"first", "second"}
