"""A PDS that knows no manifest, time that passes, and runs of garbage collection."""

from __future__ import annotations

import json
import time
from typing import Final

from pds.hold.gc.collector import GcCounts, GcOptions
from pds.hold.hold import Hold
from pds.hold.oci.digest import Digest
from tests.identity.conftest import WebHost

DELETE: Final = GcOptions(delete=True)
CHECK: Final = GcOptions(delete=True, check_manifests=True)
GET_RECORD: Final = "/xrpc/com.atproto.repo.getRecord"
GET_STATUS: Final = "/xrpc/com.atproto.sync.getRepoStatus"
DAY_S: Final = 24 * 60 * 60


def say_gone(host: WebHost, *, active: bool = True) -> None:
    """Let a PDS say that a record does not exist."""
    host.answer(GET_RECORD, json.dumps({"error": "RecordNotFound"}), status=400)
    host.answer(GET_STATUS, json.dumps({"did": "did", "active": active}))


def pass_days(hold: Hold, days: float) -> None:
    """Let time pass for garbage collection; the sweep of uploads has forgotten those of today."""
    use, later_s = hold.images.use, days * DAY_S
    hold.db.run("DELETE FROM upload")
    use._clock = lambda: time.time() + later_s
    use._monotonic = lambda: time.monotonic() + later_s


async def stored(hold: Hold) -> set[Digest]:
    return {blob.digest async for blob in hold.oci.storage.list()}


async def run(hold: Hold, options: GcOptions = DELETE) -> GcCounts:
    return (await hold.gc.run(options)).counts
