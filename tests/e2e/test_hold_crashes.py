"""A hold that is killed while a layer is completed: the client asks again, and the layer is there.

The server is a process of its own, and ends at a fault point (see `tests.faults`).
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Final

import pytest

from tests.e2e.world import World

LAYER: Final = [os.urandom(700_000) for _ in range(3)]
BYTES: Final = b"".join(LAYER)
DIGEST: Final = "sha256:" + hashlib.sha256(BYTES).hexdigest()


class Registry:
    """What a registry does for alice, who is the captain of the hold."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.env = {
            "PDS_HOLD_ENABLED": "true",
            "PDS_HOLD_OWNER": world.alice.did,
            "PDS_HOLD_PUBLIC_URL": f"http://localhost:{world.server.port}",
        }
        self.hold_did = f"did:web:localhost%3A{world.server.port}"

    async def auth(self) -> dict[str, str]:
        url = f"{self.world.server.url}/xrpc/com.atproto.server.getServiceAuth"
        params = {"aud": self.hold_did, "lxm": "com.atproto.repo.getRecord"}
        async with self.world.http.get(url, params=params, headers=self.world.alice.auth) as answer:
            token = (await answer.json())["token"]
        return {"Authorization": f"Bearer {token}"}

    async def post(self, name: str, **body: Any) -> Any:
        return await self.world.post(f"io.atcr.hold.{name}", await self.auth(), **body)

    async def send(self) -> dict[str, Any]:
        """Upload all parts, and return the completion."""
        begun = await self.post("initiateUpload", digest="uploads/temp-1")
        parts = []
        for number, data in enumerate(LAYER, 1):
            headers = {"X-Upload-Id": begun["uploadId"], "X-Part-Number": str(number)}
            url = f"{self.world.server.url}/xrpc/io.atcr.hold.uploadPart"
            headers |= await self.auth()
            async with self.world.http.put(url, data=data, headers=headers) as answer:
                parts.append({"partNumber": number, "etag": (await answer.json())["etag"]})
        return {"uploadId": begun["uploadId"], "digest": DIGEST, "parts": parts}

    async def fetch(self) -> tuple[int, bytes]:
        """Ask for the layer."""
        url = f"{self.world.server.url}/xrpc/com.atproto.sync.getBlob"
        params = {"did": self.world.alice.did, "cid": DIGEST}
        async with self.world.http.get(url, params=params, headers=await self.auth()) as answer:
            return answer.status, await answer.read()


@pytest.mark.parametrize("point", ["layer-joined", "layer-noted", "layer-kept", "layer-completed"])
async def test_a_completion_can_be_repeated(world: World, point: str) -> None:
    registry = Registry(world)
    world.start(fault=point, **registry.env)
    completion = await registry.send()
    assert await registry.post("completeUpload", **completion) is None
    assert world.server.wait_ended(), f"{point} was not reached"
    world.start(**registry.env)
    answer = await registry.post("completeUpload", **completion)
    assert answer == {"status": "completed", "digest": DIGEST}
    assert await registry.fetch() == (200, BYTES)
    # Whatever is left of the upload has no bytes of the layer; the sweep removes it.
    uploads = world.server.data / "blobs" / "oci" / "uploads"
    assert {path.name for path in uploads.rglob("*") if path.is_file()} <= {"chosen"}
    world.server.stop()
    assert "Traceback" not in world.server.log()
