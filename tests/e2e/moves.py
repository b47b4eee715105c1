"""Two real servers, and a person who moves from one to the other on the pages, whatever happens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.e2e.forked import ForkedServer, Zygote
from tests.e2e.promises import BROKEN
from tests.pds.web.browser import Browser
from tests.processes import free_port

OLD_PASSWORD: Final = "old-password"
NEW_PASSWORD: Final = "new-password"
FILE: Final = "com.example.file"
_PREFERENCES: Final = [{"$type": "app.bsky.actor.defs#adultContentPref", "enabled": True}]
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_STEPS_S: Final = 30.0


@dataclass(slots=True)
class Host:
    """A server, and what it is started with."""

    server: ForkedServer
    http: aiohttp.ClientSession
    env: dict[str, str]

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def public_url(self) -> str:
        return f"http://localhost:{self.server.port}"

    def start(self, fault: str | None = None, **more: str) -> None:
        self.server.start(fault=fault, **self.env, **more)

    def rows(self, sql: str, *values: str, file: str = "account.sqlite") -> list[Any]:
        """Read its service database, or another."""
        with closing(sqlite3.connect(self.server.data / file)) as db:
            return db.execute(sql, values).fetchall()

    def events(self, did: str) -> list[str]:
        """The kinds of events that it has told of an account."""
        sql = "SELECT eventType FROM repo_seq WHERE did = ? ORDER BY seq"
        return [kind for (kind,) in self.rows(sql, did, file="sequencer.sqlite")]

    def sessions(self, did: str) -> int:
        """How many sessions an account has."""
        return len(self.rows("SELECT id FROM refresh_token WHERE did = ?", did))

    def step_of(self, did: str) -> str | None:
        """How far a move is; None if there is none."""
        found = self.rows("SELECT step FROM holdfast_move WHERE did = ?", did)
        return str(found[0][0]) if found else None

    def code_of(self, did: str) -> str:
        """The code that was mailed to an account for a change of its DID; empty if none was."""
        sql = "SELECT token FROM email_token WHERE did = ? AND purpose = 'plc_operation'"
        found = self.rows(sql, did)
        return str(found[0][0]) if found else ""

    async def get(self, nsid: str, auth: dict[str, str] | None = None, **params: str) -> Any:
        """Call a query that must succeed: its JSON, or its bytes."""
        url = f"{self.url}/xrpc/{nsid}"
        async with self.http.get(url, headers=auth, params=params) as response:
            is_json = response.content_type == "application/json"
            answer = await response.json() if is_json else await response.read()
            assert response.status == 200, answer
            return answer

    async def post(
        self, nsid: str, auth: dict[str, str] | None = None, data: Any = None, **body: Any
    ) -> Any:
        """Call a procedure that must succeed."""
        content: dict[str, Any] = {"json": body} if body else {"data": data and BytesIO(data)}
        kind = {} if data is None else {"Content-Type": "image/png"}
        headers = {**(auth or {}), **kind}
        url = f"{self.url}/xrpc/{nsid}"
        async with self.http.post(url, headers=headers, **content) as response:
            is_json = response.content_type == "application/json"
            answer = await response.json() if is_json else await response.read()
            assert response.status == 200, answer
            return answer

    async def plc_log(self, did: str) -> list[Any]:
        """The operations of a DID."""
        async with self.http.get(f"{self.env['PDS_DID_PLC_URL']}/{did}/log") as response:
            found: list[Any] = await response.json()
            return found

    async def sign_in(self, did: str, password: str) -> dict[str, str]:
        """The headers of a new session."""
        nsid = "com.atproto.server.createSession"
        session = await self.post(nsid, identifier=did, password=password)
        return {"Authorization": f"Bearer {session['accessJwt']}"}


@dataclass(slots=True)
class Mover:
    """A person, with what the account had before."""

    did: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    records: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class TwoHosts:
    """An old server, and a new one, whose PLC directory is that of the one that is not ended."""

    old: Host
    new: Host

    async def join(self, *, blobs: list[bytes] | None = None) -> Mover:
        """Sign up at the old server, and publish files."""
        made = await self.old.post(
            "com.atproto.server.createAccount",
            handle="mover.test",
            email="mover@example.com",
            password=OLD_PASSWORD,
        )
        mover = Mover(made["did"])
        auth = {"Authorization": f"Bearer {made['accessJwt']}"}
        await self.publish(mover, auth, blobs or [_PNG + bytes([n]) for n in range(3)])
        return mover

    async def publish(self, mover: Mover, auth: dict[str, str], blobs: list[bytes]) -> None:
        """Give an account at the old server files, a post and preferences."""
        for data in blobs:
            blob = (await self.old.post("com.atproto.repo.uploadBlob", auth, data))["blob"]
            mover.blobs[blob["ref"]["$link"]] = data
            record = {"$type": FILE, "file": blob}
            nsid = "com.atproto.repo.createRecord"
            await self.old.post(nsid, auth, repo=mover.did, collection=FILE, record=record)
        nsid = "app.bsky.actor.putPreferences"
        await self.old.post(nsid, auth, preferences=_PREFERENCES)
        mover.records = await self.records(self.old, mover)

    async def records(self, host: Host, mover: Mover) -> list[Any]:
        """All records of the account at a server."""
        nsid = "com.atproto.repo.listRecords"
        answer = await host.get(nsid, repo=mover.did, collection=FILE, limit="100")
        found: list[Any] = answer["records"]
        return found

    async def check_moved(self, mover: Mover) -> None:
        """Nothing is lost and nothing is doubled, and only the new server has the account."""
        assert await self.records(self.new, mover) == mover.records
        listed = await self.new.get("com.atproto.sync.listBlobs", did=mover.did)
        assert sorted(listed["cids"]) == sorted(mover.blobs)
        for cid, data in mover.blobs.items():
            got = await self.new.get("com.atproto.sync.getBlob", did=mover.did, cid=cid)
            assert got == data
        auth = await self.new.sign_in(mover.did, NEW_PASSWORD)
        status = await self.new.get("com.atproto.server.checkAccountStatus", auth)
        assert (status["activated"], status["validDid"]) == (True, True)
        assert status["importedBlobs"] == status["expectedBlobs"] == len(mover.blobs)
        kept = await self.new.get("app.bsky.actor.getPreferences", auth)
        assert kept["preferences"] == _PREFERENCES
        state = await self.old.get("com.atproto.sync.getRepoStatus", did=mover.did)
        assert (state["active"], state.get("status")) == (False, "deactivated")
        for host in (self.old, self.new):
            assert len(host.rows("SELECT did FROM account")) == 1
            assert host.rows("SELECT kind FROM holdfast_journal") == []


@asynccontextmanager
async def two_hosts(
    forking: Zygote,
    root: Path,
    *,
    plc_at_old: bool = True,
    old: dict[str, str] | None = None,
    new: dict[str, str] | None = None,
) -> AsyncIterator[TwoHosts]:
    """Two servers that have yet to be started. `old` and `new` are more settings of them."""
    # A connection that is kept would lead to a server that has ended since.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        plc_port = free_port()
        made = []
        for name, domain, more in (("old", ".test", old), ("new", ".new.test", new)):
            has_directory = (name == "old") == plc_at_old
            ports = free_port(), plc_port if has_directory else free_port()
            server = ForkedServer(forking, root / name, *ports)
            env = {
                "PDS_DID_PLC_URL": f"http://localhost:{plc_port}",
                "PDS_SERVICE_DID": f"did:web:{name}.example",
                "PDS_SERVICE_HANDLE_DOMAINS": domain,
                **(more or {}),
            }
            made.append(Host(server, http, env))
        yield TwoHosts(*made)
        for host in made:
            if host.server.process is None:
                continue
            host.server.stop()
            assert "Traceback" not in host.server.log(), host.server.log()


@dataclass(slots=True)
class Pages:
    """The person's browser, which is at the pages of the new server, or of the old one."""

    two: TwoHosts
    mover: Mover
    is_in: bool
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.browser = Browser(self.here)

    @property
    def here(self) -> Host:
        return self.two.new if self.is_in else self.two.old

    async def go_on(self, until: str = "done") -> None:
        """Do what the pages ask for, until the move is that far, or the server has ended."""
        async with asyncio.timeout(_STEPS_S):
            while self.here.server.process is not None:
                if self.here.server.wait_ended(0):
                    return
                with suppress(*BROKEN):
                    if await self._one_step(until):
                        return

    async def _one_step(self, until: str) -> bool:
        page = await self.browser.open("/migrate/move")
        if page.status == 303:
            await self._begin(page.reply.headers["Location"])
            return False
        assert page.status == 200, page.text
        if "Refresh" in page.reply.headers:
            await asyncio.sleep(0.02)
            return False
        forms = {form.action.rpartition("/")[2]: form for form in page.forms}
        step = dict(forms["cancel" if "cancel" in forms else next(iter(forms))].fields).get("step")
        if until in (step, "done" if "forget" in forms else None):
            return True
        if "identity" in forms:
            values = {"code": self.two.old.code_of(self.mover.did), "sure": "true"}
            await self.browser.send(forms["identity"], **values)
            return False
        name = next(each for each in ("code", "finish", "copy") if each in forms)
        await self.browser.send(forms[name])
        return False

    async def _begin(self, leads_to: str) -> None:
        """Sign in, or begin."""
        password = NEW_PASSWORD if self.is_in else OLD_PASSWORD
        if self.is_in:
            page = await self.browser.open("/migrate/in/details")
            if page.status == 200:
                await self.browser.send(page.form("/details"), password=NEW_PASSWORD)
                return
            leads_to = page.reply.headers["Location"]
            if leads_to == "/migrate":
                page = await self.browser.open("/migrate/in")
                fields = {"identifier": self.mover.did, "password": OLD_PASSWORD}
                await self.browser.send(page.form("/migrate/in"), **fields)
                return
        if leads_to.startswith("/account/sign-in"):
            page = await self.browser.open(leads_to)
            fields = {"username": self.mover.did, "password": password}
            await self.browser.send(page.form("/sign-in"), **fields)
            return
        page = await self.browser.open("/migrate/out")
        page = await self.browser.send(page.form("/out"), server=self.two.new.public_url)
        await self.browser.send(page.form("/begin"), password=NEW_PASSWORD)
