"""Notices of manifests, and garbage collection, on each of the stores: disk and S3."""

from __future__ import annotations

import time
from typing import Any

from pds.hold.gc.collector import GcOptions
from pds.hold.hold import Hold
from tests.pds.conftest import Account, Pds
from tests.pds.hold.registry import Registry, digest_of

WEEK_S = 7 * 24 * 60 * 60


async def notify(caller: Registry, account: Account, digest: str) -> Any:
    return await caller.call(
        "notifyManifest",
        repository="myapp",
        userDid=account.did,
        manifestDigest=digest_of(b"manifest"),
        manifest={"layers": [{"digest": digest, "size": 1}]},
    )


async def test_a_pushed_layer_stays_and_one_that_nobody_names_goes(
    pds: Pds, alice: Account, writer: Registry, hold: Hold
) -> None:
    kept, garbage = await writer.push(b"layer of an image"), await writer.push(b"garbage")
    reply = await notify(writer, alice, kept)
    assert (reply.status, reply.json["layersCreated"]) == (200, 1)
    assert (await hold.layers.usage(alice.did)).size_bytes == len(b"layer of an image")
    hold.db.run("DELETE FROM upload")
    later_s = WEEK_S + 60
    hold.images.use._clock = lambda: time.time() + later_s
    hold.images.use._monotonic = lambda: time.monotonic() + later_s

    done = await hold.gc.run(GcOptions(delete=True))

    assert (done.counts.blobs, done.counts.deleted) == (2, 1)
    assert await writer.fetch(kept) == b"layer of an image"
    assert (await writer.ask(garbage)).error == (404, "BlobNotFound")
    assert await writer.push(b"garbage") == garbage, "it may be sent again"
    assert await writer.fetch(garbage) == b"garbage"


async def test_a_download_counts_a_pull(alice: Account, writer: Registry, hold: Hold) -> None:
    digest = await writer.push(b"layer")
    for verb, repository in (("GET", "myapp"), ("HEAD", "myapp"), ("GET", "")):
        assert (await writer.ask(digest, verb, repo=repository)).status == 200
    missing = await writer.ask(digest_of(b"missing"), repo="myapp")
    assert missing.status == 404
    owner = (await hold.stats.list("did:plc:imageowneraaaaaaaaaaaaaa", limit=10))[0]
    assert (owner.repository, owner.totals.pulls) == ("myapp", 1)
