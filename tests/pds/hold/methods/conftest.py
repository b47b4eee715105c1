"""A hold with a member of its crew, on each of the stores."""

from __future__ import annotations

import asyncio

import pytest

from pds.hold.hold import Hold
from tests.pds.conftest import Account, Pds
from tests.pds.hold.conftest import HOLD_ENVIRON
from tests.pds.hold.registry import Registry, member, registry_for
from tests.seaweedfs import SeaweedFs

STORES = ("disk", "s3", "buffered")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    """Where the bytes are."""
    return str(request.param)


@pytest.fixture
def hold_environ() -> dict[str, str]:
    """Further settings of the hold, which a test module may set."""
    return {}


@pytest.fixture
def pds_environ(
    store: str, hold_environ: dict[str, str], request: pytest.FixtureRequest
) -> dict[str, str]:
    environ = HOLD_ENVIRON | {"PDS_PORT": "2583"} | hold_environ
    if store != "disk":
        seaweedfs: SeaweedFs = request.getfixturevalue("seaweedfs")
        environ |= seaweedfs.environ(asyncio.run(seaweedfs.create_bucket()).bucket)
        environ["PDS_BLOBSTORE_DISK_LOCATION"] = ""
        environ["PDS_HOLD_PRESIGNED_URLS"] = str(store == "s3").lower()
    return environ


@pytest.fixture
async def writer(pds: Pds, hold: Hold, alice: Account) -> Registry:
    """alice, who may read and write."""
    return await member(pds, hold, alice)


@pytest.fixture
async def outsider(pds: Pds, hold: Hold, bob: Account) -> Registry:
    """bob, who is no member."""
    return await registry_for(pds, hold, bob)


@pytest.fixture
def nobody(pds: Pds, hold: Hold) -> Registry:
    """A registry without a token."""
    return Registry(pds, hold, {})
