"""The pages for moving are no way to guess passwords of other servers."""

from __future__ import annotations

import pytest

from tests.pds.conftest import Pds
from tests.pds.web.browser import Browser


@pytest.fixture
def pds_environ(pds_environ: dict[str, str]) -> dict[str, str]:
    return pds_environ | {"PDS_RATE_LIMITS_ENABLED": "true"}


async def test_one_client_signs_in_elsewhere_only_so_often(pds: Pds) -> None:
    browser = Browser(pds)
    form = (await browser.open("/migrate/in")).form("/migrate/in")
    for number in range(30):
        page = await browser.send(form, identifier=f"no handle {number}", password="x")
        assert page.status == 400
    page = await browser.send(form, identifier="no handle", password="x")
    assert (page.status, "try again in some minutes" in page.text) == (429, True)
