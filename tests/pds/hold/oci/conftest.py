"""The stores that the tests of a hold's blobs run on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.pds.hold.oci.kit import Kit
from tests.seaweedfs import SeaweedFs


@pytest.fixture(params=["disk", "s3", "buffered"])
async def kit(
    request: pytest.FixtureRequest, tmp_path: Path, seaweedfs: SeaweedFs
) -> AsyncIterator[Kit]:
    """The parts of a hold on each of the stores, which are empty."""
    location = None if request.param == "disk" else await seaweedfs.create_bucket()
    async with aiohttp.ClientSession() as http:
        kit = Kit(tmp_path, request.param, location, http)
        kit.open()
        yield kit
        await kit.close()


@pytest.fixture
async def s3_kit(tmp_path: Path, seaweedfs: SeaweedFs) -> AsyncIterator[Kit]:
    """The parts of a hold whose clients reach S3 themselves."""
    async with aiohttp.ClientSession() as http:
        kit = Kit(tmp_path, "s3", await seaweedfs.create_bucket(), http)
        kit.open()
        yield kit
        await kit.close()
