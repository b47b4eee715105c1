"""Every page of the administrator, with something on it and with nothing."""

from __future__ import annotations

import pytest

from pds.administration.samples import Counts, Sample
from tests.pds.conftest import Account, Pds
from tests.pds.web.admin.desk import Administrator

PAGES = (
    "/admin",
    "/admin?span=day",
    "/admin/now",
    "/admin/accounts",
    "/admin/accounts?state=takendown",
    "/admin/accounts?q=alice",
    "/admin/invites",
    "/admin/blobs",
    "/admin/blobs?look=1",
    "/admin/firehose",
    "/admin/crawlers",
    "/admin/mails",
    "/admin/health",
    "/admin/log",
    "/admin/security",
)


async def test_every_page_is_shown(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    for path in PAGES:
        page = await admin.open(path)
        assert page.status == 200, (path, page.text)
