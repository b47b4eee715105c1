"""A hold that is killed while a layer is completed: the client asks again, and the layer is there.

The server is a process of its own, and ends at a fault point (see `tests.faults`).
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.e2e.promises import BROKEN
from tests.e2e.registry import digest_of
from tests.e2e.world import World
from tests.e2e.world_hold import environ_of, registry_of

LAYER: Final = [os.urandom(700_000) for _ in range(3)]
BYTES: Final = b"".join(LAYER)
DIGEST: Final = digest_of(BYTES)


COMPLETE: Final = "io.atcr.hold.completeUpload"


@pytest.mark.parametrize("point", ["layer-joined", "layer-noted", "layer-kept", "layer-completed"])
async def test_a_completion_can_be_repeated(world: World, point: str) -> None:
    registry, captain = registry_of(world), world.alice
    world.start(fault=point, **environ_of(world))
    upload_id = await registry.begin(captain)
    parts = [
        await registry.send_part(captain, upload_id, number, data)
        for number, data in enumerate(LAYER, 1)
    ]
    completion = {"uploadId": upload_id, "digest": DIGEST, "parts": parts}
    with pytest.raises(BROKEN):
        await registry.post(COMPLETE, captain, **completion)
    assert world.server.wait_ended(), f"{point} was not reached"
    world.start(**environ_of(world))
    answer = await registry.post(COMPLETE, captain, **completion)
    assert (answer.status, answer.body) == (200, {"status": "completed", "digest": DIGEST})
    assert await registry.pull_blob(captain, captain, DIGEST) == BYTES
    # Whatever is left of the upload has no bytes of the layer; the sweep removes it.
    uploads = world.server.data / "blobs" / "oci" / "uploads"
    assert {path.name for path in uploads.rglob("*") if path.is_file()} <= {"chosen"}
    world.server.stop()
    assert "Traceback" not in world.server.log()
