"""A registry as a hold sees it: calls with the service tokens of users, bytes straight to S3."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from multidict import CIMultiDictProxy

from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.hold.conftest import BOTH

IMAGE_OWNER: Final = "did:plc:imageowneraaaaaaaaaaaaaa"
GET_BLOB: Final = "com.atproto.sync.getBlob"


def digest_of(data: bytes) -> str:
    """The digest of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(slots=True)
class Registry:
    """A registry that acts for one user; without their token, for nobody in particular."""

    pds: Pds
    hold: Hold
    auth: Mapping[str, str]

    async def call(self, name: str, **body: Any) -> Reply:
        """Call a procedure of `io.atcr.hold`."""
        return await self.pds.post(f"io.atcr.hold.{name}", body, self.auth)

    async def begin(self) -> str:
        """Begin an upload, and return its id."""
        reply = await self.call("initiateUpload", digest="uploads/temp-1")
        assert reply.status == 200, reply.body
        return str(reply.json["uploadId"])

    async def send(self, upload_id: str, number: int, data: bytes) -> dict[str, Any]:
        """Send a part to where the hold says, and return it as the completion names it."""
        place = await self.call("getPartUploadUrl", uploadId=upload_id, partNumber=number)
        assert place.status == 200, place.body
        url, headers = place.json["url"], place.json.get("headers", {})
        if headers:
            # The server listens elsewhere than where its clients find it.
            url = self.pds.url + url.removeprefix(self.hold.url)
            headers = {**headers, **self.auth}
        async with self.pds.http.request(
            place.json["method"],
            url,
            data=BytesIO(data),
            headers=headers,
            skip_auto_headers=("Content-Type",),
        ) as answer:
            assert answer.status == 200, await answer.text()
            return {"partNumber": number, "etag": answer.headers["ETag"]}

    async def push(self, *pieces: bytes) -> str:
        """Upload a blob, and return its digest."""
        upload_id = await self.begin()
        parts = [await self.send(upload_id, number, data) for number, data in enumerate(pieces, 1)]
        digest = digest_of(b"".join(pieces))
        reply = await self.call("completeUpload", uploadId=upload_id, digest=digest, parts=parts)
        assert reply.status == 200, reply.body
        assert reply.json == {"status": "completed", "digest": digest}
        return digest

    async def ask(
        self, digest: str, verb: str = "GET", headers: Mapping[str, str] | None = None, **more: str
    ) -> Reply:
        """Call getBlob."""
        return await self.pds.request(
            verb,
            f"/xrpc/{GET_BLOB}",
            headers={**self.auth, **(headers or {})},
            params={"did": IMAGE_OWNER, "cid": digest, **more},
        )

    async def fetch(self, digest: str) -> bytes:
        """Return the bytes of a blob, as a client of the registry gets them."""
        reply = await self.ask(digest)
        assert reply.status == 200, reply.body
        if reply.json is None:
            return reply.body
        status, _headers, body = await self.follow(reply.json["url"])
        assert status == 200
        return body

    async def follow(self, url: str, verb: str = "GET") -> tuple[int, CIMultiDictProxy[str], bytes]:
        """Use a presigned URL."""
        async with self.pds.http.request(verb, url) as answer:
            return answer.status, answer.headers, await answer.read()


async def registry_for(pds: Pds, hold: Hold, account: Account) -> Registry:
    """The registry of an account of the server."""
    reply = await pds.get(
        "com.atproto.server.getServiceAuth",
        account.auth,
        aud=hold.did,
        lxm="com.atproto.repo.getRecord",
    )
    assert reply.status == 200, reply.body
    return Registry(pds, hold, {"Authorization": f"Bearer {reply.json['token']}"})


async def member(
    pds: Pds, hold: Hold, account: Account, permissions: Sequence[Permission] = BOTH
) -> Registry:
    """The registry of an account that is made a member of the crew."""
    await hold.crew.add(Did(account.did), permissions=permissions, role="member")
    return await registry_for(pds, hold, account)
