"""Members of a hold, of whom one has a PDS that tests can make answer as they like."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pds.hold.hold import Hold
from tests.identity.conftest import WebHost, serve_pages
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import BOTH, HOLD_ENVIRON
from tests.pds.hold.pushing import User, join
from tests.pds.identities import WebDid


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return dict(HOLD_ENVIRON)


@pytest.fixture
async def user(pds: Pds) -> User:
    return await join(pds)


@pytest.fixture
async def web_host() -> AsyncIterator[WebHost]:
    async with serve_pages() as host:
        yield host


@pytest.fixture
async def web_user(pds: Pds, hold: Hold, web_host: WebHost) -> User:
    """A member whose PDS is `web_host`, which says of no manifest that it is gone."""
    signer = WebDid.on(web_host)
    signer.publish(handle="dana.test", endpoint=f"http://localhost:{web_host.port}")
    await hold.crew.add(signer.did, permissions=BOTH, role="member")
    return User(pds, signer)
