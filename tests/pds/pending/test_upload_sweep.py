"""The sweep of uploads that no record refers to, over the accounts of a server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pds.pending.upload_sweep import KEPT_S, UploadSweep
from tests.pds.api.blobs import uploaded
from tests.pds.api.moderation import make_inactive
from tests.pds.api.records import create
from tests.pds.conftest import Account, Pds


def later(pds: Pds, seconds: float) -> UploadSweep:
    """A sweep some time from now."""
    return UploadSweep(pds.ctx, clock=lambda: time.time() + seconds)


def uploads(data: Path) -> int:
    return sum(path.is_file() for path in (data / "blobs" / "tempt").rglob("*"))


async def test_uploads_wait_a_week_for_their_record(
    pds: Pds, alice: Account, bob: Account, tmp_path: Path
) -> None:
    for n in range(150):
        await uploaded(pds, alice, f"flood {n}".encode(), "text/plain")
    blob = await uploaded(pds, bob)
    await later(pds, KEPT_S - 60).sweep()
    assert uploads(tmp_path) == 151
    await create(pds, bob, {"blob": blob})
    swept = later(pds, KEPT_S + 60)
    await swept.sweep()
    assert (swept.removed.uploads, uploads(tmp_path)) == (150, 0)
    assert await pds.ctx.actor_store.read(bob.did, lambda actor: actor.blob.count()) == 1
    assert await pds.ctx.actor_store.read(alice.did, lambda actor: actor.blob.count()) == 0


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_uploads_of_an_account_that_is_not_active_stay(
    pds: Pds, alice: Account, tmp_path: Path, state: str
) -> None:
    await uploaded(pds, alice)
    part = tmp_path / "blobs" / "tempt" / alice.did / ("a" * 52)
    part.write_bytes(b"half of an upload")
    await make_inactive(pds, alice, state)
    swept = later(pds, 10 * KEPT_S)
    await swept.sweep()
    assert (swept.removed.uploads, swept.removed.parts) == (0, 1)
    assert uploads(tmp_path) == 1


async def test_an_account_whose_files_are_damaged_holds_up_no_other(
    pds: Pds, alice: Account, bob: Account, tmp_path: Path
) -> None:
    for account in (alice, bob):
        await uploaded(pds, account)
    pds.ctx.actor_store.quarantine(alice.did, "a test says so")
    swept = later(pds, KEPT_S + 60)
    await swept.sweep()
    assert (swept.removed.uploads, uploads(tmp_path)) == (1, 1)


async def test_a_clock_that_is_set_ahead_makes_no_upload_old(
    pds: Pds, alice: Account, tmp_path: Path
) -> None:
    """As where a machine starts without knowing the time, and learns it a moment later."""
    ahead_s = 0.0
    swept = UploadSweep(pds.ctx, clock=lambda: time.time() + ahead_s)
    await uploaded(pds, alice)
    ahead_s = 10.0 * KEPT_S
    await swept.sweep()
    assert uploads(tmp_path) == 1


async def test_nothing_is_removed_of_an_account_whose_store_is_not_there(
    pds: Pds, alice: Account, tmp_path: Path
) -> None:
    """It may be about to be restored, and its records refer to what seems unused."""
    await uploaded(pds, alice)
    directory = pds.ctx.actor_store.layout.directory(alice.did)
    pds.ctx.actor_store.open_stores.discard(alice.did)
    directory.rename(tmp_path / "away")
    await later(pds, KEPT_S + 60).sweep()
    assert uploads(tmp_path) == 1
    (tmp_path / "away").rename(directory)
    await later(pds, KEPT_S + 60).sweep()
    assert uploads(tmp_path) == 0
