"""Two servers with one PLC directory, and people who move from one to the other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pds.accounts.moves import Move
from pds.mail.message import Mail
from tests.pds.conftest import Account, Pds, start_pds
from tests.pds.web.browser import Browser, Page
from tests.processes import free_port

NEW_PASSWORD = "new-password"


@dataclass
class TwoServers:
    """An old server, and a new one."""

    old: Pds
    new: Pds
    mails: list[Mail] = field(default_factory=list)
    """Those of the old server."""

    @property
    def code(self) -> str:
        """The code of the last mail."""
        found = re.search(r"[A-Z2-7]{5}-[A-Z2-7]{5}", self.mails[-1].html)
        assert found is not None
        return found[0]

    async def publish(self, account: Account, *, blobs: int = 2) -> list[str]:
        """Give an account posts, files and preferences; return the CIDs of the files."""
        cids = []
        for number in range(blobs):
            reply = await self.old.upload(account, b"\x89PNG\r\n\x1a\n%d" % number)
            blob = reply.json["blob"]
            record = {"$type": "com.example.file", "file": blob}
            await self.old.create_record(account, "com.example.file", record)
            cids.append(blob["ref"]["$link"])
        await self.old.post_text(account)
        preferences = [{"$type": "app.bsky.actor.defs#adultContentPref", "enabled": True}]
        reply = await self.old.post(
            "app.bsky.actor.putPreferences", {"preferences": preferences}, account.auth
        )
        assert reply.status == 200
        return cids

    async def check_moved(self, account: Account, cids: list[str]) -> None:
        """Check that an account and its files are at the new server, and only there in use."""
        moved = self.new.ctx.accounts.get_account(account.did)
        assert moved.handle == "mover.new.test"
        assert not self.old.ctx.accounts.get_account(account.did, include_inactive=True).active
        for cid in cids:
            blob = await self.new.get("com.atproto.sync.getBlob", did=account.did, cid=cid)
            assert blob.status == 200


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[TwoServers]:
    """Both servers, whose accounts are under `.test` at the old and `.new.test` at the new one."""
    async with AsyncExitStack() as stack:
        old = await _start(stack, tmp_path / "old", "did:web:old.example", ".test")
        plc_url = old.ctx.settings.identity.plc_url
        new = await _start(
            stack, tmp_path / "new", "did:web:new.example", ".new.test", PDS_DID_PLC_URL=plc_url
        )
        both = TwoServers(old, new)
        old.ctx.mailer.on_mail = both.mails.append
        yield both


async def _start(stack: AsyncExitStack, data: Path, did: str, domain: str, **more: str) -> Pds:
    data.mkdir()  # noqa: ASYNC240 (of a test)
    port = free_port()
    environ = {
        "PDS_PORT": str(port),
        "PDS_SERVICE_DID": did,
        "PDS_SERVICE_HANDLE_DOMAINS": domain,
        **more,
    }
    return await start_pds(stack, data, environ, port=port)


@pytest.fixture
async def mover(two: TwoServers) -> Account:
    """Somebody at the old server."""
    return await two.old.create_account("mover")


def location(page: Page) -> str:
    assert page.status == 303, page.text
    return page.reply.headers["Location"]


async def sign_in_at_old(browser: Browser, account: Account, **values: str) -> Page:
    """Begin to move in, and return the page after it."""
    page = await browser.open("/migrate/in")
    fields = {"identifier": account.did, "password": account.password, **values}
    return await browser.send(page.form("/migrate/in"), **fields)


async def create(browser: Browser, **values: str) -> Page:
    """Create the account at the new server."""
    page = await browser.open("/migrate/in/details")
    return await browser.send(page.form("/details"), password=NEW_PASSWORD, **values)


async def begin_out(new: Pds, browser: Browser, **values: str) -> Page:
    """Create the account at a new server, and return the page after it."""
    page = await browser.open("/migrate/out")
    page = await browser.send(page.form("/out"), server=new.public_url)
    return await browser.send(page.form("/begin"), **{"password": NEW_PASSWORD, **values})


async def copied(browser: Browser, pds: Pds, did: str) -> Page:
    """Wait until the server has copied what it can, and return the page of the move."""
    await browser.open("/migrate/move")
    await settled(pds)
    return await browser.open("/migrate/move")


async def settled(pds: Pds) -> None:
    """Wait for what goes on in the background."""
    for task in list(pds.ctx.later._tasks):
        await task


async def step(browser: Browser, name: str, **values: str) -> Page:
    """Send a form of the move's page."""
    page = await browser.open("/migrate/move")
    return await browser.send(page.form(f"/move/{name}"), **values)


def move_of(pds: Pds, did: str) -> Move:
    found = pds.ctx.accounts.moves.find(did)
    assert found is not None
    return found
