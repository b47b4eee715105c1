"""The page at `/`, for each kind of server."""

from __future__ import annotations

import pytest

from tests.entryway import Entryway
from tests.pds.conftest import Pds
from tests.pds.entryway.conftest import entryway, running_entryway
from tests.pds.hold.conftest import HOLD_ENVIRON
from tests.pds.web.browse.test_browse import text_of

__all__ = ["entryway", "running_entryway"]

_SERVICE = {
    "PDS_CONTACT_EMAIL_ADDRESS": "help@example.com",
    "PDS_TERMS_OF_SERVICE_URL": "https://example.com/terms?a=1&b=2",
    "PDS_PRIVACY_POLICY_URL": "https://example.com/privacy",
}


@pytest.fixture
def pds_environ(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.node.get_closest_marker("usefixtures") is not None:
        running: Entryway = request.getfixturevalue("running_entryway")
        return running.environ
    return dict(getattr(request, "param", {}))


@pytest.mark.usefixtures("running_entryway")
async def test_behind_an_entryway_people_are_sent_there(pds: Pds) -> None:
    assert pds.ctx.entryway is not None
    url = pds.ctx.entryway.url
    text = await text_of(pds, "/")
    assert f'People of this server sign in at <a href="{url}">{url}</a>.' in text
    assert "/account" not in text


@pytest.mark.parametrize("pds_environ", [HOLD_ENVIRON], indirect=True)
async def test_a_server_with_a_hold_leads_to_its_page(pds: Pds) -> None:
    text = await text_of(pds, "/")
    assert '<a href="/hold">' in text
    assert "/account/sign-up" in text


@pytest.mark.parametrize("pds_environ", [_SERVICE], indirect=True)
async def test_it_is_said_who_runs_the_server(pds: Pds) -> None:
    text = await text_of(pds, "/")
    assert '<a href="mailto:help@example.com">help@example.com</a>' in text
    assert 'href="https://example.com/terms?a=1&amp;b=2"' in text
    assert 'href="https://example.com/privacy"' in text


@pytest.mark.parametrize("pds_environ", [{"PDS_INVITE_REQUIRED": "true"}], indirect=True)
async def test_it_is_said_that_an_invite_code_is_needed(pds: Pds) -> None:
    text = await text_of(pds, "/")
    assert "You need an invite code" in text
    assert "Who runs it" not in text
