"""Garbage collection: what it deletes, and all that it must not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from actor_store.blob_store.base import BlobStoreError
from pds.hold.gc import collector as gc_module
from pds.hold.gc.collector import GarbageCollector, GcCounts, GcOptions, InvalidGcCursor
from pds.hold.gc.nightly import NightlyGc
from pds.hold.hold import Hold
from pds.hold.images.blob_use import BlobUse
from pds.hold.oci.digest import Digest
from pds.hold.records import MANIFEST
from pds.repos.commits import commit
from tests.pds.conftest import Pds
from tests.pds.hold.gc.kit import (
    DAY_S,
    DELETE,
    pass_days,
    run,
    say_gone,
    stored,
)
from tests.pds.hold.pushing import User, digest, layer_records
from tests.pds.hold.test_repo_index import record
from tests.pds.identities import WebDid

# --- What is garbage


async def test_what_nothing_refers_to_is_deleted_after_its_grace(user: User, hold: Hold) -> None:
    await user.push("kept")
    await user.upload("garbage")
    pass_days(hold, 6.9)
    assert (await run(hold)).kept_recent == 1
    pass_days(hold, 7.1)

    counts = await run(hold)

    assert (counts.blobs, counts.garbage, counts.deleted) == (3, 1, 1)
    assert counts.deleted_bytes == len("garbage")
    assert await stored(hold) == {digest("kept"), digest("config")}
    assert await hold.oci.blobs.find(digest("garbage")) is None


async def test_a_dry_run_changes_nothing(pds: Pds, web_user: User, hold: Hold) -> None:
    await web_user.push("one")
    await web_user.upload("garbage")
    assert isinstance(web_user.signer, WebDid)
    say_gone(web_user.signer.host)
    pass_days(hold, 8)
    before = (await stored(hold), await layer_records(pds))

    counts = await run(hold, GcOptions(check_manifests=True))

    assert (counts.garbage, counts.manifests_gone, counts.layer_records_deleted) == (1, 1, 1)
    assert counts.deleted == 0
    assert (await stored(hold), await layer_records(pds)) == before


async def test_the_config_of_a_known_manifest_stays(user: User, hold: Hold) -> None:
    await user.push()
    pass_days(hold, 400)
    assert (await run(hold)).garbage == 0
    assert await stored(hold) == {digest("config")}


async def test_a_layer_record_alone_keeps_its_blob(user: User, hold: Hold) -> None:
    await user.upload("one")
    await commit(
        hold.ctx,
        hold.did,
        lambda _: [record("create", "a", digest=digest("one"), repository="of-2025")],
    )
    pass_days(hold, 400)
    assert (await run(hold)).deleted == 0


async def test_what_somebody_asks_for_stays(pds: Pds, user: User, hold: Hold) -> None:
    """Also what no notice has named, as when the registry could not reach the hold."""
    await user.upload("asked")
    pass_days(hold, 6)
    query = {"did": user.did, "cid": digest("asked")}
    reply = await pds.get("com.atproto.sync.getBlob", user.auth, method="HEAD", **query)
    assert reply.status == 200
    pass_days(hold, 12.9)
    assert (await run(hold)).deleted == 0
    pass_days(hold, 13.1)
    assert (await run(hold)).deleted == 1


async def test_uses_outlive_a_restart(user: User, hold: Hold) -> None:
    await user.upload("asked")
    pass_days(hold, 6)
    await hold.oci.blobs.find(digest("asked"))
    await hold.images.use.write()
    for days, recent in ((12.9, True), (13.1, False)):
        clock = time.time() + days * DAY_S
        again = BlobUse(hold.db, kept_s=7 * DAY_S, clock=lambda clock=clock: clock)  # type: ignore[misc]
        assert again.is_recent(digest("asked")) is recent


async def test_an_upload_keeps_its_blob(user: User, hold: Hold) -> None:
    await user.upload("one")
    pass_days(hold, 8)
    hold.db.run(
        "INSERT INTO upload (id, did, storageId, state, digest, changedAtMs)"
        " VALUES ('u', ?, '', 'checking', ?, 0)",
        (user.did, digest("one")),
    )
    assert (await run(hold)).garbage == 0


async def test_what_this_hold_has_not_received_needs_the_operator_s_word(
    user: User, hold: Hold
) -> None:
    await user.upload("taken over")
    hold.db.run("DELETE FROM blob")
    pass_days(hold, 8)
    counts = await run(hold)
    assert (counts.kept_unknown, counts.garbage, counts.deleted) == (1, 0, 0)
    assert (await run(hold, replace(DELETE, unknown_origin=True))).deleted == 1


async def test_layer_records_that_name_no_manifest_protect_the_configs_of_others(
    user: User, hold: Hold
) -> None:
    await user.upload("may be a config")
    hold.db.run("DELETE FROM blob")
    await commit(
        hold.ctx, hold.did, lambda _: [record("create", "a", digest=digest("old"), repository="x")]
    )
    pass_days(hold, 8)
    assert (await run(hold, replace(DELETE, unknown_origin=True))).kept_unknown == 1


async def test_a_clock_that_was_set_forward_makes_nothing_old(user: User, hold: Hold) -> None:
    await user.upload("one")
    pass_days(hold, 0)
    hold.images.use._clock = lambda: time.time() + 400 * DAY_S
    assert (await run(hold)).deleted == 0


async def test_too_many_uses_to_remember_mean_that_nothing_is_unused(
    user: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user.upload("one")
    pass_days(hold, 8)
    monkeypatch.setattr("pds.hold.images.blob_use._MAX_TOUCHED", 0)
    hold.images.use.touch(digest("another"))
    assert (await run(hold)).kept_recent == 1


# --- Races, and interruptions


async def test_a_reference_at_the_last_moment_saves_the_blob(
    user: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user.upload("one")
    pass_days(hold, 8)
    delete = hold.oci.blobs.delete

    async def notify_first(*args: Any, **more: Any) -> list[Digest]:
        assert (await user.notify("one")).json["layersCreated"] == 1
        return await delete(*args, **more)

    monkeypatch.setattr(hold.oci.blobs, "delete", notify_first)
    counts = await run(hold)
    assert (counts.garbage, counts.deleted) == (1, 0)
    assert digest("one") in await stored(hold)


async def test_a_notice_during_the_deletion_finds_the_blob_gone(
    pds: Pds, user: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the layer has no record, and its registry has asked whether it is there, or uploads."""
    await user.upload("one")
    pass_days(hold, 8)
    delete = hold.oci.storage.delete
    asked = []

    async def ask_meanwhile(digests: Any) -> None:
        asked.append(await hold.oci.blobs.find(digest("one")))
        await delete(digests)

    monkeypatch.setattr(hold.oci.storage, "delete", ask_meanwhile)
    assert (await run(hold)).deleted == 1
    assert asked == [None]
    assert (await user.push("one")).json["layersCreated"] == 1
    assert digest("one") in await stored(hold)
    pass_days(hold, 400)
    assert (await run(hold)).deleted == 0


async def test_a_failed_deletion_is_tried_again(
    user: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user.upload("one")
    pass_days(hold, 8)

    async def fail(_: Any) -> None:
        raise BlobStoreError("S3 is down")

    with monkeypatch.context() as patch:
        patch.setattr(hold.oci.storage, "delete", fail)
        with pytest.raises(BlobStoreError):
            await run(hold)
    assert await stored(hold) == {digest("one")}
    assert (await run(hold)).deleted == 1


async def test_pages_go_on_where_the_last_one_ended_also_in_another_run(
    user: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc_module, "PAGE", 2)
    for number in range(7):
        await user.upload(f"garbage{number}")
    pass_days(hold, 8)
    counts, cursor, pages = GcCounts(), None, 0
    while pages == 0 or cursor is not None:
        gc = GarbageCollector(
            hold.db,
            storage=hold.oci.storage,
            blobs=hold.oci.blobs,
            use=hold.images.use,
            manifests=hold.gc._manifests,
        )
        page = await gc.page(DELETE, cursor)
        await gc.close()
        counts, cursor, pages = counts + page.counts, page.cursor, pages + 1
    assert (counts.blobs, counts.deleted, pages) == (7, 7, 5)
    assert await stored(hold) == set()


async def test_manifests_are_paged(user: User, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pds.hold.gc.manifest_phase._PAGE", 2)
    for name in "abcde":
        await user.notify(name=name)
    progress: list[int] = []

    async def note(counts: GcCounts) -> None:
        progress.append(counts.manifests)

    await hold.gc.run(GcOptions(), progress=note)
    assert progress == [2, 4, 5, 5]


async def test_a_cursor_that_is_none_is_refused(hold: Hold) -> None:
    for cursor in ("", "blobs", "blobs x sha256:a", "records 0 a", "blobs -1 a", "blobs ² a"):
        with pytest.raises(InvalidGcCursor):
            await hold.gc.page(DELETE, cursor)


async def test_the_longest_cursor_is_one_that_the_operator_s_route_takes(
    pds: Pds, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.hold.gc.manifest_phase._PAGE", 1)
    for rkey in ("a", "b"):
        uri = f"at://did:web:{'x' * 2040}/{MANIFEST}/{rkey}"
        await hold.layers.remember(uri, [digest("config")])
    cursor = (await hold.gc.page(GcOptions())).cursor
    assert cursor is not None
    assert len(cursor) > 2_000
    body = {"cursor": cursor}
    reply = await pds.request("POST", "/_holdfast/hold/gc", headers=pds.admin, json=body)
    assert (reply.status, reply.json["counts"]["manifests"]) == (200, 1)


async def test_it_runs_every_night_where_it_is_switched_on(
    user: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user.upload("garbage")
    pass_days(hold, 8)
    deleted = asyncio.Event()
    delete = hold.oci.storage.delete

    async def note(digests: Any) -> None:
        await delete(digests)
        deleted.set()

    monkeypatch.setattr(hold.oci.storage, "delete", note)
    nightly = NightlyGc(hold.gc, first_s=0)
    nightly.start()
    await deleted.wait()
    await nightly.close()
    assert await stored(hold) == set()
    assert hold.nightly is None, "it is off by default"
