"""The stores that the tests of a hold's blobs run on."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from actor_store.blob_store.s3_location import S3Location
from tests.pds.hold.oci.kit import Kit
from tests.seaweedfs import SeaweedFs

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_location(seaweedfs_process: SeaweedFs) -> S3Location:
    """A bucket in which each test has a prefix of its own."""
    return asyncio.run(seaweedfs_process.create_bucket("shared"))


@asynccontextmanager
async def opened_kit(directory: Path, kind: str, location: S3Location | None) -> AsyncIterator[Kit]:
    """The parts of a hold on an empty store."""
    prefix = f"test-{next(_numbers)}/docker/registry/v2/"
    async with aiohttp.ClientSession() as http:
        kit = Kit(directory, kind, location, prefix, http)
        kit.open()
        try:
            yield kit
        finally:
            await kit.close()


@pytest.fixture(params=["disk", "s3", "buffered"])
async def kit(
    request: pytest.FixtureRequest, tmp_path: Path, shared_location: S3Location
) -> AsyncIterator[Kit]:
    """The parts of a hold on each of the stores."""
    location = None if request.param == "disk" else shared_location
    async with opened_kit(tmp_path, request.param, location) as kit:
        yield kit


@pytest.fixture
async def s3_kit(tmp_path: Path, shared_location: S3Location) -> AsyncIterator[Kit]:
    """The parts of a hold whose clients reach S3 themselves."""
    async with opened_kit(tmp_path, "s3", shared_location) as kit:
        yield kit


@pytest.fixture(params=["disk to s3", "s3 to disk", "disk to buffered"])
async def moving(
    request: pytest.FixtureRequest, tmp_path: Path, shared_location: S3Location
) -> AsyncIterator[Kit]:
    """The parts of a hold while its blobs move from one store to another."""
    async with opened_kit(tmp_path, request.param, shared_location) as kit:
        yield kit
