"""A container registry, as a hold meets one: it acts for users with service tokens of their PDS.

It knows nothing of the hold but its DID and URL, and of S3 only the URLs that the hold gives out.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import aiohttp
from yarl import URL

from tests.e2e.promises import Person

GET_RECORD: Final = "com.atproto.repo.getRecord"
"""The one method for which registries ask tokens, whatever they call."""
MANIFEST: Final = "io.atcr.manifest"
PART_BYTES: Final = 5 * 1024 * 1024
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"


def digest_of(data: bytes) -> str:
    """The OCI digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its config and layers."""

    repository: str
    tag: str
    config: bytes
    layers: tuple[bytes, ...]

    @classmethod
    def make(cls, repository: str, *sizes: int) -> Image:
        """An image with layers of `sizes` bytes, always the same ones."""
        noise = random.Random(repository)
        return cls(
            repository,
            "latest",
            f'{{"image": "{repository}"}}'.encode(),
            tuple(noise.randbytes(size) for size in sizes),
        )

    @property
    def blobs(self) -> tuple[bytes, ...]:
        """All bytes that lie in the hold."""
        return (self.config, *self.layers)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as `notifyManifest` takes it."""
        return {
            "mediaType": MANIFEST_TYPE,
            "config": {"digest": digest_of(self.config), "size": len(self.config)},
            "layers": [
                {"digest": digest_of(layer), "size": len(layer), "mediaType": LAYER_TYPE}
                for layer in self.layers
            ],
        }

    @property
    def manifest_digest(self) -> str:
        """The digest of the manifest."""
        return digest_of(repr(self.manifest).encode())


@dataclass(slots=True)
class Answer:
    """An answer of the hold."""

    status: int
    body: Any
    headers: Any = field(repr=False)

    @property
    def error(self) -> tuple[int, str]:
        """Status and error name."""
        return self.status, self.body["error"]


@dataclass(slots=True)
class Registry:
    """The registry's side of every call."""

    http: aiohttp.ClientSession
    pds: str
    hold: str
    hold_did: str

    async def token(self, user: Person) -> dict[str, str]:
        """A service token of the user's PDS for the hold, as a header."""
        url = f"{self.pds}/xrpc/com.atproto.server.getServiceAuth"
        params = {"aud": self.hold_did, "lxm": GET_RECORD}
        async with self.http.get(url, params=params, headers=user.auth) as response:
            answer = await response.json()
            assert response.status == 200, answer
        return {"Authorization": f"Bearer {answer['token']}"}

    async def post(self, nsid: str, user: Person | None = None, /, **body: Any) -> Answer:
        """Call a procedure of the hold."""
        headers = {} if user is None else await self.token(user)
        url = f"{self.hold}/xrpc/{nsid}"
        async with self.http.post(url, json=body, headers=headers) as response:
            return Answer(response.status, await response.json(), response.headers)

    async def get(
        self, nsid: str, user: Person | None = None, /, *, verb: str = "GET", **params: Any
    ) -> Answer:
        """Call a query of the hold; the body is JSON or bytes."""
        headers = {} if user is None else await self.token(user)
        url = f"{self.hold}/xrpc/{nsid}"
        async with self.http.request(verb, url, params=params, headers=headers) as response:
            is_json = response.content_type == "application/json" and verb != "HEAD"
            body = await response.json() if is_json else await response.read()
            return Answer(response.status, body, response.headers)

    async def request_crew(self, user: Person) -> Answer:
        """Ask for membership, as registries do at login."""
        return await self.post("io.atcr.hold.requestCrew", user)

    async def push(self, user: Person, image: Image) -> Answer:
        """Push every blob, write the manifest to the user's repository, and tell the hold."""
        for blob in image.blobs:
            await self.push_blob(user, blob)
        await self._write_manifest(user, image)
        return await self.notify(user, user, image, "push")

    async def push_blob(self, user: Person, data: bytes) -> None:
        """Upload a blob by parts, unless the hold has it."""
        digest = digest_of(data)
        found = await self.get(
            "com.atproto.sync.getBlob", user, verb="HEAD", did=user.did, cid=digest
        )
        if found.status == 200:
            return
        assert found.status == 404
        upload_id = await self.begin(user)
        parts = [
            await self.send_part(user, upload_id, number, part)
            for number, part in enumerate(_parts_of(data), 1)
        ]
        done = await self.post(
            "io.atcr.hold.completeUpload", user, uploadId=upload_id, digest=digest, parts=parts
        )
        assert (done.status, done.body) == (200, {"status": "completed", "digest": digest})

    async def begin(self, user: Person) -> str:
        """Begin an upload, and return its id."""
        placeholder = f"uploads/temp-{uuid.uuid4()}"
        begun = await self.post("io.atcr.hold.initiateUpload", user, digest=placeholder)
        assert begun.status == 200, begun
        return str(begun.body["uploadId"])

    async def send_part(
        self, user: Person, upload_id: str, number: int, data: bytes
    ) -> dict[str, Any]:
        """Send a part to where the hold says, and return it as the completion names it."""
        told = await self.post(
            "io.atcr.hold.getPartUploadUrl", user, uploadId=upload_id, partNumber=number
        )
        assert told.status == 200, told
        headers = dict(told.body.get("headers", {}))
        if told.body["url"].startswith(self.hold):
            headers |= await self.token(user)
        verb, url = told.body.get("method", "PUT"), URL(told.body["url"], encoded=True)
        async with self.http.request(verb, url, data=BytesIO(data), headers=headers) as response:
            assert response.status == 200, await response.text()
            etag = response.headers.get("ETag") or (await response.json())["etag"]
            return {"partNumber": number, "etag": etag}

    async def pull(self, user: Person | None, owner: Person, image: Image) -> list[bytes]:
        """Fetch every blob of an image, and tell the hold."""
        blobs = [await self.pull_blob(user, owner, digest_of(blob)) for blob in image.blobs]
        if user is not None:
            told = await self.notify(user, owner, image, "pull")
            assert told.status == 200, told
        return blobs

    async def pull_blob(self, user: Person | None, owner: Person, digest: str) -> bytes:
        """Fetch a blob: from where the hold says, or from the hold."""
        answer = await self.get(
            "com.atproto.sync.getBlob", user, did=owner.did, cid=digest, method="GET"
        )
        assert answer.status == 200, answer
        if isinstance(answer.body, bytes):
            return answer.body
        # Docker follows the registry's redirect without any token.
        async with self.http.get(URL(answer.body["url"], encoded=True)) as response:
            assert response.status == 200
            return await response.read()

    async def notify(self, user: Person, owner: Person, image: Image, operation: str) -> Answer:
        """Tell the hold of a push or a pull."""
        return await self.post(
            "io.atcr.hold.notifyManifest",
            user,
            repository=image.repository,
            userDid=owner.did,
            manifestDigest=image.manifest_digest,
            manifest=image.manifest,
            operation=operation,
            tag=image.tag,
        )

    async def _write_manifest(self, user: Person, image: Image) -> None:
        body = {
            "repo": user.did,
            "collection": MANIFEST,
            "rkey": image.manifest_digest.removeprefix("sha256:"),
            "record": {
                "$type": MANIFEST,
                "repository": image.repository,
                "digest": image.manifest_digest,
                "schemaVersion": 2,
                "holdDid": self.hold_did,
                "createdAt": "2026-01-01T00:00:00.000Z",
                **image.manifest,
            },
        }
        url = f"{self.pds}/xrpc/com.atproto.repo.putRecord"
        async with self.http.post(url, json=body, headers=user.auth) as response:
            assert response.status == 200, await response.text()


def _parts_of(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PART_BYTES):
        yield data[start : start + PART_BYTES]
