"""A server that is a hold as well, at `did:web:localhost%3A2583`."""

from __future__ import annotations

from typing import Final

import pytest

from pds.hold.hold import HOLD, Hold
from tests.pds.conftest import Pds

OWNER: Final = "did:plc:captainaaaaaaaaaaaaaaaaa"
HOLD_DID: Final = "did:web:localhost%3A2583"
HOLD_ENVIRON: Final = {"PDS_HOLD_ENABLED": "true", "PDS_HOLD_OWNER": OWNER}


@pytest.fixture
def hold(pds: Pds) -> Hold:
    """The hold of the server `pds`, whose module sets `pds_environ` to `HOLD_ENVIRON`."""
    return pds.app[HOLD]
