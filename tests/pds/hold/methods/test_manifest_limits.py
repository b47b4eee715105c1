"""How many records one user may make by notices: each has a limit, if the operator wants limits."""

from __future__ import annotations

from typing import Any

import pytest

from pds.hold.images.manifest import MAX_LAYERS
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import HOLD_ENVIRON
from tests.pds.hold.pushing import LAYER_TYPE, digest, join

_NOTICES = 19
"""So many, each with the most layers, come to almost the limit."""


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {**HOLD_ENVIRON, "PDS_RATE_LIMITS_ENABLED": "true"}


@pytest.fixture
def largest() -> dict[str, Any]:
    """A manifest with as many layers as one may have."""
    entry = {"size": 1, "mediaType": LAYER_TYPE}
    return {"layers": [{"digest": digest(str(number)), **entry} for number in range(MAX_LAYERS)]}


async def test_a_notice_counts_as_many_records_as_it_may_make(
    pds: Pds, largest: dict[str, Any]
) -> None:
    user, other = await join(pds), await join(pds)
    for _ in range(_NOTICES):
        assert (await user.notify(manifest=largest)).status == 200
    assert (await user.notify(manifest=largest)).error == (429, "RateLimitExceeded")
    assert (await other.notify(manifest=largest)).status == 200


async def test_a_pull_counts_once_whatever_its_manifest(pds: Pds, largest: dict[str, Any]) -> None:
    user = await join(pds)
    for _ in range(_NOTICES + 2):
        assert (await user.notify(manifest=largest, operation="pull")).status == 200
