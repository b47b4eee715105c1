"""An account with a did:web moves between two real servers, in and out, with its own host."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pds.service_auth.jwt import create_service_jwt
from repo.keys import K256PrivateKey
from tests.e2e.forked import Zygote
from tests.e2e.moves import OLD_PASSWORD, Mover, Pages, TwoHosts, two_hosts
from tests.pds.web.browser import Page


class OwnHost:
    """The host of a person, which publishes what the person puts there."""

    def __init__(self) -> None:
        self.document: Any = None
        self.did = ""

    async def answer(self, _request: web.Request) -> web.Response:
        if self.document is None:
            return web.Response(status=404)
        return web.json_response(self.document)

    def put(self, fields: dict[str, Any]) -> None:
        """Publish what a server asks for, as people do who do not move on the pages."""
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer"}
        endpoint = fields["services"]["atproto_pds"]["endpoint"]
        self.document = {
            "id": self.did,
            "alsoKnownAs": fields["alsoKnownAs"],
            "verificationMethod": [
                {
                    "id": f"{self.did}#atproto",
                    "type": "Multikey",
                    "controller": self.did,
                    "publicKeyMultibase": fields["verificationMethods"]["atproto"][8:],
                }
            ],
            "service": [
                {"id": "#own", "type": "Own", "serviceEndpoint": "https://own.example"},
                {**service, "serviceEndpoint": endpoint},
            ],
        }


@asynccontextmanager
async def own_host() -> AsyncIterator[OwnHost]:
    host, app = OwnHost(), web.Application()
    app.router.add_get("/.well-known/did.json", host.answer)
    async with TestServer(app, host="localhost") as server:
        host.did = f"did:web:localhost%3a{server.port}"
        yield host


async def join(two: TwoHosts, own: OwnHost) -> Mover:
    """Create an account with the person's own DID at the old server."""
    key = K256PrivateKey.generate()
    own.put(
        {
            "alsoKnownAs": [],
            "verificationMethods": {"atproto": key.did_key},
            "services": {"atproto_pds": {"endpoint": "https://nowhere.example"}},
        }
    )
    now_s, nsid = int(time.time()), "com.atproto.server.createAccount"
    aud = two.old.env["PDS_SERVICE_DID"]
    token = create_service_jwt(
        key, iss=own.did, aud=aud, now_s=now_s, lxm=nsid, expires_at=now_s + 60
    )
    made = await two.old.post(
        nsid,
        {"Authorization": f"Bearer {token}"},
        did=own.did,
        handle="mover.test",
        email="mover@example.com",
        password=OLD_PASSWORD,
    )
    auth = {"Authorization": f"Bearer {made['accessJwt']}"}
    own.put(await two.old.get("com.atproto.identity.getRecommendedDidCredentials", auth))
    await two.old.post("com.atproto.server.activateAccount", auth)
    mover = Mover(own.did)
    await two.publish(mover, auth, [b"a picture"])
    return mover


def document_on(page: Page) -> Any:
    """The document that a page says is to be published."""
    found = re.search(r"<pre><code>(.*?)</code></pre>", page.reply.body.decode(), re.DOTALL)
    assert found is not None, page.text
    return json.loads(unescape(found[1]))


@pytest.mark.parametrize("is_in", [True, False], ids=["in", "out"])
async def test_the_page_says_what_to_publish_and_goes_on_once_it_is_there(
    forking: Zygote, tmp_path: Path, is_in: bool
) -> None:
    async with two_hosts(forking, tmp_path) as two, own_host() as own:
        two.old.start()
        two.new.start()
        mover = await join(two, own)
        pages = Pages(two, mover, is_in)
        await pages.go_on(until="code")
        page = await pages.browser.open("/migrate/move")
        assert f"https://{own.did[8:].replace('%3a', ':')}/.well-known/did.json" in page.text
        document = document_on(page)
        assert document["service"][1] == own.document["service"][0], "what is not the account's"

        page = await pages.browser.send(page.form("/identity"), sure="true")
        assert (page.status, "does not name the new server, its key" in page.text) == (400, True)
        own.document = {**own.document, "service": document["service"]}
        page = await pages.browser.open("/migrate/move")
        assert "It does not have the key of the new server yet." in page.text
        assert "It does not have your handle at the new server yet." in page.text
        assert "It does not name the new server yet." not in page.text
        page = await pages.browser.send(page.form("/identity"), sure="true")
        assert page.status == 400
        assert pages.here.step_of(mover.did) == "code"

        own.document = document
        page = await pages.browser.open("/migrate/move")
        assert "names the new server, its key and your handle." in page.text
        if is_in:
            # Its signature is that of a key that the document no longer names.
            auth = await two.old.sign_in(mover.did, OLD_PASSWORD)
            await two.publish(mover, auth, [b"a late picture"])
            page = await pages.browser.send(page.form("/identity"), sure="true")
            assert "Something was published at the old server" in page.text
        await pages.go_on()
        await two.check_moved(mover)
        assert own.document == document
