"""The two places of a server's blobs, and the command that moves all blobs between them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blob_store.places import MovableStore, Place
from actor_store.blob_store.s3 import S3BlobStore
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from tests.e2e.world import ENVIRON, World
from tests.processes import clean_environment
from tests.seaweedfs import SeaweedFs
from tests.warm_python import start_python

_ROOT = Path(__file__).resolve().parents[2]


class Homes:
    """The two places of a server's blobs, and the settings that name them."""

    def __init__(self, data: Path, seaweedfs: SeaweedFs, location: S3Location) -> None:
        self._location = location
        self._blobs = data / "blobs"
        self._s3 = seaweedfs.environ(location.bucket)

    def environ(self, *, move_to: str | None = None, only: str | None = None) -> dict[str, str]:
        """Settings of `pds dev` with both places, or with one of them."""
        s3 = {} if only == "disk" else self._s3
        return s3 if move_to is None else {**s3, "PDS_BLOBSTORE_MOVE_TO": move_to}

    async def names(self, home: str) -> dict[Place, set[str]]:
        """What is in a place."""
        async with self._opened(home) as store:
            found = {place: await store.places.list_blobs(place, limit=1000) for place in Place}
            return {place: {blob.name for blob in blobs} for place, blobs in found.items() if blobs}

    @asynccontextmanager
    async def _opened(self, home: str) -> AsyncIterator[MovableStore]:
        if home == "disk":
            yield DiskBlobStore(self._blobs)
            return
        store = S3BlobStore(S3Bucket(self._location))
        yield store
        await store.close()


def begin(world: World, *args: str) -> subprocess.Popen[str]:
    """Start a command with the settings that the server wrote."""
    words = [*args, "--env-file", str(world.server.data / "dev.env")]
    return start_python(
        [sys.executable, "-m", "pds", *words],
        env=clean_environment({"PYTHONPATH": str(_ROOT), **ENVIRON}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def ended(command: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a command: its status, output and errors."""
    out, err = await asyncio.to_thread(command.communicate, timeout=100)
    return command.returncode, out, err


async def migrate(world: World, to: str, *args: str) -> dict[str, Any]:
    """Move everything, successfully."""
    status, out, err = await ended(begin(world, "blobs", "migrate", "--to", to, "--json", *args))
    assert status == 0, err
    done: dict[str, Any] = json.loads(out)
    return done
