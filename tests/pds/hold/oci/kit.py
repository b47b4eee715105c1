"""A hold's uploads and blobs without a server: what its methods call, on any of the stores."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import aiohttp

from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from database.connection import Database
from database.migrations import migrate
from database.open_files import OpenFiles
from database.opening import open_database
from pds.hold.database import MIGRATIONS
from pds.hold.oci.blobs import Blobs
from pds.hold.oci.buffered_s3 import BufferedS3OciStorage
from pds.hold.oci.digest import Digest, digest_of
from pds.hold.oci.disk import DiskOciStorage
from pds.hold.oci.finishing import Finisher
from pds.hold.oci.layers import Layers
from pds.hold.oci.moving import MovingOciStorage
from pds.hold.oci.s3 import S3OciStorage
from pds.hold.oci.storage import OciStorage, Part
from pds.hold.oci.sweep import OciUploadSweep
from pds.hold.oci.upload_rows import UploadRows
from pds.hold.oci.uploads import WAIT_S, Uploads
from pds.pending.blob_move_run import MoveRun
from tests.clock import Clock

HOLD = "did:web:hold.test"
ALICE, BOB = "did:plc:alice", "did:plc:bob"
MIB = 1024 * 1024
URL = "http://hold.test"


@dataclass
class Kit:
    """The parts, which `restart` opens anew on the same files."""

    directory: Path
    kind: str
    location: S3Location | None
    prefix: str
    """Of all keys: tests share a bucket."""
    http: aiohttp.ClientSession
    clock: Clock = field(default_factory=lambda: Clock(1_800_000_000.0))
    wait_s: float = WAIT_S
    verify: bool = True
    storage: OciStorage = field(init=False)
    db: Database = field(init=False)
    rows: UploadRows = field(init=False)
    blobs: Blobs = field(init=False)
    finisher: Finisher = field(init=False)
    uploads: Uploads = field(init=False)
    sweep: OciUploadSweep = field(init=False)
    _bucket: S3Bucket | None = None

    def open(self) -> None:
        """Open all parts."""
        self.storage = self._open_storage()
        self.db = open_database(self.directory / "hold.sqlite", busy_timeout_ms=0)
        migrate(self.db, MIGRATIONS)
        self.rows = UploadRows(self.db)
        self.blobs = Blobs(self.storage, lambda: ("asker",), clock=self.clock)
        self.finisher = Finisher(
            self.storage, self.blobs, self.rows, verify=self.verify, clock=self.clock
        )
        self.uploads = Uploads(
            self.storage,
            self.blobs,
            self.rows,
            self.finisher,
            url=URL,
            clock=self.clock,
            wait_s=self.wait_s,
        )
        self.sweep = OciUploadSweep(
            self.storage, self.rows, self.uploads, self.finisher, clock=self.clock
        )

    @property
    def both(self) -> MovingOciStorage:
        """The storage of a kit that has two."""
        assert isinstance(self.storage, MovingOciStorage)
        return self.storage

    async def move(self) -> MoveRun:
        """Move all blobs from the old store to the new one."""
        mover = Layers(HOLD, self.storage, self.rows, self.uploads, self.finisher).mover
        assert mover is not None
        run = MoveRun([mover])
        await run.go()
        return run

    async def put(self, storage: OciStorage, data: bytes, *, name: Digest | None = None) -> Digest:
        """Put a blob into a store, under its digest or another one."""
        digest = sha256(data)
        arrived = await storage.receive(digest, len(data), _chunks(data))
        await arrived.keep()
        if name is not None:
            assert isinstance(storage, DiskOciStorage)
            storage._blob_path(name).parent.mkdir(parents=True, exist_ok=True)
            storage._blob_path(digest).replace(storage._blob_path(name))
        return name or digest

    async def close(self) -> None:
        """Close all parts."""
        await self.finisher.close()
        await self.storage.close()
        self.db.close()

    async def restart(self) -> None:
        """Stop and start; the connection to S3 stays, because making one takes long."""
        await self.finisher.close()
        self.db.close()
        if self._bucket is None:
            await self.storage.close()
        self.open()

    def bucket(self) -> S3Bucket:
        """The bucket, for tests that look into it."""
        assert self._bucket is not None
        return self._bucket

    async def keys(self) -> list[str]:
        """The keys of all objects, without the prefix."""
        return [
            info.key.removeprefix(self.prefix) async for info in self.bucket().list(self.prefix)
        ]

    async def stored(self) -> list[Digest]:
        """The digests of all stored blobs."""
        return await listed(self.storage)

    async def leftovers(self) -> int:
        """How many uploads, or rests of some, the store has."""
        return len([leftover async for leftover in self.storage.list_leftovers()])

    async def send(self, upload_id: str, number: int, data: bytes, *, did: str = ALICE) -> Part:
        """Send one part, as a client does."""
        place = await self.uploads.part_url(upload_id, did, number)
        if place.url.startswith(URL):
            etag = await self.uploads.write_part(upload_id, did, number, _chunks(data))
            return Part(number, etag)
        async with self.http.put(place.url, data=BytesIO(data)) as answer:
            assert answer.status == 200, await answer.text()
            return Part(number, answer.headers["ETag"])

    async def upload(self, pieces: Sequence[bytes], *, did: str = ALICE) -> tuple[str, list[Part]]:
        """Begin an upload and send its parts."""
        upload_id = await self.uploads.begin(did)
        parts = [
            await self.send(upload_id, number, piece, did=did)
            for number, piece in enumerate(pieces, 1)
        ]
        return upload_id, parts

    async def push(self, *pieces: bytes, did: str = ALICE) -> Digest:
        """Upload a blob from beginning to end."""
        upload_id, parts = await self.upload(pieces, did=did)
        digest = sha256(b"".join(pieces))
        await self.uploads.complete(upload_id, did, digest, parts)
        return digest

    async def read(self, digest: Digest) -> bytes:
        """The bytes of a stored blob."""
        blob = await self.storage.find(digest)
        assert blob is not None
        chunks = self.storage.read(digest, 0, blob.size_bytes)
        return b"".join([chunk async for chunk in chunks])

    def _open_storage(self) -> OciStorage:
        """Open the store of this kind, or of two such as "disk to s3"."""
        old, _, new = self.kind.rpartition(" to ")
        if not old:
            return self._open_one(new)
        return MovingOciStorage(new=self._open_one(new), old=self._open_one(old))

    def _open_one(self, kind: str) -> OciStorage:
        files = OpenFiles()
        if kind == "disk":
            return DiskOciStorage(self.directory / "oci", full_sync=False, files=files)
        assert self.location is not None
        bucket = self._bucket = self._bucket or S3Bucket(self.location)
        if kind == "s3":
            return S3OciStorage(bucket, self.prefix)
        uploads = self.directory / "uploads"
        return BufferedS3OciStorage(bucket, self.prefix, uploads, full_sync=False, files=files)


async def listed(storage: OciStorage) -> list[Digest]:
    """The digests of all blobs of a store."""
    return [blob.digest async for blob in storage.list()]


def sha256(data: bytes) -> Digest:
    """The digest of some bytes."""
    return digest_of(hashlib.sha256(data).digest())


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 64 * 1024):
        yield data[start : start + 64 * 1024]
