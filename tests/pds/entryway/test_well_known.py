"""What a server behind an entryway says of itself."""

from __future__ import annotations

import pytest

from tests.entryway import Entryway
from tests.pds.conftest import Pds

METADATA = "/.well-known/oauth-protected-resource"


async def test_the_entryway_is_the_authorization_server(pds: Pds, entryway: Entryway) -> None:
    reply = await pds.request("GET", METADATA)
    assert reply.json == {
        "resource": pds.ctx.settings.public_url,
        "authorization_servers": [entryway.url],
        "scopes_supported": [],
        "bearer_methods_supported": ["header"],
        "resource_documentation": "https://atproto.com",
    }
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["Access-Control-Allow-Headers"] == "*"


async def test_a_new_password_is_chosen_at_the_entryway(pds: Pds, entryway: Entryway) -> None:
    path = "/.well-known/change-password"
    async with pds.http.get(pds.url + path, allow_redirects=False) as response:
        assert response.status == 302
        assert response.headers["Location"] == entryway.url + path


async def test_the_server_describes_itself_as_without_one(pds: Pds, entryway: Entryway) -> None:
    described = (await pds.get("com.atproto.server.describeServer")).json
    assert described["did"] == pds.ctx.settings.service_did
    assert described["availableUserDomains"] == [".test"]


@pytest.mark.parametrize(
    "path", ["/account", "/account/sign-up?next=/account", "/account/reset-password"]
)
async def test_pages_of_accounts_are_at_the_entryway(
    pds: Pds, entryway: Entryway, path: str
) -> None:
    reply = await pds.http.get(pds.url + path, allow_redirects=False)
    assert reply.status == 302
    assert reply.headers["Location"] == entryway.url + path
