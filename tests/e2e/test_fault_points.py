"""A crash at every step of every change: what is there after the next start is whole.

Each test starts a server that ends itself at a fault point (see `pds.faults`), makes one change,
starts again, and compares repositories, listRepos, DIDs and two consumers of the firehose: one
that had followed before the crash, and one that reads the log from its beginning.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import aiohttp
import pytest

from database.connection import open_database
from pds.faults import POINTS, VARIABLE
from tests.e2e.forked import ForkedServer, Zygote, zygote
from tests.e2e.promises import BROKEN, NOTE, NotAnswered, Person, sign_up
from tests.e2e.watcher import Watcher
from tests.pds.conftest import basic_auth
from tests.processes import free_port

ADMIN = {"PDS_ADMIN_PASSWORD": "admin-pass"}
_REACHED_S = 10.0
_SETTLED_S = 10.0
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


@pytest.fixture(scope="module")
def forking() -> Iterator[Zygote]:
    with zygote() as process:
        yield process


@pytest.fixture(scope="module")
def stopped(forking: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """The data of a server with two accounts that was stopped in order."""
    data = tmp_path_factory.mktemp("stopped") / "data"
    server = ForkedServer(forking, data, free_port(), free_port())
    server.start(**ADMIN)
    alice, bob = asyncio.run(_fill(server))
    server.stop()
    return Stopped(server, alice, bob)


async def _fill(server: ForkedServer) -> tuple[Person, Person]:
    async with aiohttp.ClientSession() as http:
        alice, bob = await sign_up(server, http, "alice"), await sign_up(server, http, "bob")
        world = World(server, http, alice, bob, Watcher(server, http))
        for person in (alice, bob):
            await world.create(person, "first")
        return alice, bob


@dataclass(slots=True)
class Stopped:
    server: ForkedServer
    alice: Person
    bob: Person


@dataclass(slots=True)
class World:
    """A server, its people, and a consumer that has followed all the time."""

    server: ForkedServer
    http: aiohttp.ClientSession
    alice: Person
    bob: Person
    watcher: Watcher

    async def post(
        self, nsid: str, auth: dict[str, str] | None = None, **body: Any
    ) -> dict[str, Any] | None:
        """Call a procedure; None if the server ended before it answered."""
        url = f"{self.server.url}/xrpc/{nsid}"
        try:
            async with self.http.post(url, headers=auth, json=body or None) as response:
                answer: dict[str, Any] = await response.json() if body or response.status else {}
                assert response.status == 200, answer
                return answer
        except BROKEN:
            return None

    async def create(self, person: Person, rkey: str, **fields: Any) -> dict[str, Any] | None:
        """Create a note."""
        record = {"$type": NOTE, **fields}
        return await self.post(
            "com.atproto.repo.createRecord",
            person.auth,
            repo=person.did,
            collection=NOTE,
            rkey=rkey,
            record=record,
            validate=False,
        )

    async def moderate(self, person: Person, *, takedown: bool) -> None:
        """Take an account down, or reverse that."""
        await self.post(
            "com.atproto.admin.updateSubjectStatus",
            basic_auth("admin", ADMIN["PDS_ADMIN_PASSWORD"]),
            subject={"$type": "com.atproto.admin.defs#repoRef", "did": person.did},
            takedown={"applied": takedown},
        )

    async def records(self, person: Person) -> set[str]:
        """The record keys of an account."""
        return {path.rpartition("/")[2] for path in self.watcher.copies[person.did].records}

    async def crash(self, point: str, change: Callable[[World], Awaitable[object]]) -> None:
        """Make a change with a server that ends at `point`, and start it again."""
        await self.end_at(point, change)
        self.server.start(**ADMIN)

    async def end_at(self, point: str, change: Callable[[World], Awaitable[object]]) -> None:
        """Make a change with a server that ends at `point`."""
        self.server.start(**ADMIN, **{VARIABLE: point})
        await self.watcher.catch_up()
        await change(self)
        assert self.server.wait_ended(_REACHED_S), f"{point} was not reached"

    async def check(self, *, accounts: int) -> None:
        """Everything agrees, for every consumer."""
        async with asyncio.timeout(_SETTLED_S):
            while journal(self.server.data):  # noqa: ASYNC110 (another process's)
                await asyncio.sleep(0.005)
        await self.watcher.catch_up()
        from_start = Watcher(self.server, self.http)
        await from_start.catch_up()
        for watcher in (self.watcher, from_start):
            assert await watcher.check() == accounts
        assert {path.name for path in self.server.data.glob("actors/??/did:*")} == {
            did for did, copy in self.watcher.copies.items() if copy.status != "deleted"
        }


@pytest.fixture
async def world(stopped: Stopped, tmp_path: Path) -> AsyncIterator[World]:
    data = shutil.copytree(stopped.server.data, tmp_path / "data")
    template = stopped.server
    server = ForkedServer(template.zygote, data, template.port, template.plc_port)
    # A connection that is kept would lead to a server that has ended since.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield World(server, http, stopped.alice, stopped.bob, Watcher(server, http))
    server.stop()
    assert "Traceback" not in server.log()


def journal(data: Path) -> list[tuple[str, str]]:
    """What the server has to settle yet."""
    with closing(open_database(data / "account.sqlite", create=False, read_only=True)) as db:
        return [(kind, did) for kind, did in db.all("SELECT kind, did FROM holdfast_journal")]


@pytest.mark.parametrize(
    ("point", "written"),
    [
        ("store-commit", False),
        ("store-committed", True),
        ("log-commit", True),
        ("log-committed", True),
    ],
)
async def test_a_write(world: World, point: str, written: bool) -> None:
    await world.crash(point, lambda world: world.create(world.alice, "second"))
    await world.check(accounts=2)
    expected = {"first", "second"} if written else {"first"}
    assert await world.records(world.alice) == expected


@pytest.mark.parametrize(
    "point", ["upload-written", "store-committed", "blob-permanent", "store-commit", "log-commit"]
)
async def test_a_write_with_a_blob_can_be_repeated(world: World, point: str) -> None:
    async def post_image(world: World) -> None:
        url = f"{world.server.url}/xrpc/com.atproto.repo.uploadBlob"
        headers = {**world.alice.auth, "Content-Type": "image/png"}
        try:
            async with world.http.post(url, headers=headers, data=_PNG) as response:
                blob = (await response.json())["blob"]
        except BROKEN:
            return
        await world.create(world.alice, "image", image=blob)

    await world.crash(point, post_image)
    if "image" not in await _list(world, world.alice):
        await post_image(world)
    await world.watcher.catch_up()
    assert await world.records(world.alice) == {"first", "image"}
    blobs = await world.http.get(
        f"{world.server.url}/xrpc/com.atproto.sync.listBlobs", params={"did": world.alice.did}
    )
    (cid,) = (await blobs.json())["cids"]
    url = f"{world.server.url}/xrpc/com.atproto.sync.getBlob"
    async with world.http.get(url, params={"did": world.alice.did, "cid": cid}) as response:
        assert await response.read() == _PNG
    await world.check(accounts=2)


@pytest.mark.parametrize(
    ("point", "exists"),
    [
        ("journaled", False),
        ("store-filled", False),
        ("key-written", False),
        ("store-created", False),
        ("plc-sent", False),
        ("rows-created", True),
        ("journal-drop", True),
        ("journal-dropped", True),
        ("log-commit", True),
        ("log-committed", True),
    ],
)
async def test_signing_up_is_all_or_nothing(world: World, point: str, exists: bool) -> None:
    async def join(world: World) -> None:
        with pytest.raises(NotAnswered):
            await sign_up(world.server, world.http, "carol")

    await world.crash(point, join)
    if exists:
        session = await world.post(
            "com.atproto.server.createSession", identifier="carol.test", password="a password"
        )
        assert session is not None
        auth = {"Authorization": f"Bearer {session['accessJwt']}"}
        carol = Person(session["did"], session["handle"], auth)
    else:
        carol = await sign_up(world.server, world.http, "carol")
    await world.create(carol, "hello")
    await world.check(accounts=3)
    assert await world.records(carol) == {"hello"}
    # A DID that was made in vain has been withdrawn.
    dids = {did for did in plc_dids(world.server.data) if await _resolves(world, did)}
    assert dids == {world.alice.did, world.bob.did, carol.did}


@pytest.mark.parametrize(
    ("point", "handle"),
    [
        ("journaled", "alice.test"),
        ("plc-sent", "alice.test"),
        ("handle-row", "alicia.test"),
        ("journal-dropped", "alicia.test"),
        ("log-commit", "alicia.test"),
        ("log-committed", "alicia.test"),
    ],
)
async def test_a_change_of_handle(world: World, point: str, handle: str) -> None:
    await world.crash(
        point,
        lambda world: world.post(
            "com.atproto.identity.updateHandle", world.alice.auth, handle="alicia.test"
        ),
    )
    await world.check(accounts=2)
    assert world.watcher.copies[world.alice.did].handle == handle


@pytest.mark.parametrize("point", ["deactivated-row", "log-commit", "log-committed"])
async def test_a_deactivation_and_an_activation(world: World, point: str) -> None:
    def call(name: str) -> Callable[[World], Awaitable[object]]:
        nsid = f"com.atproto.server.{name}Account"
        body = {"deleteAfter": "2040-01-01T00:00:00Z"} if name == "deactivate" else {}
        return lambda world: world.post(nsid, world.alice.auth, **body)

    await world.crash(point, call("deactivate"))
    await world.watcher.catch_up()
    await world.watcher.check()
    assert world.watcher.copies[world.alice.did].status == "deactivated"
    world.server.stop()
    await world.crash(point.replace("deactivated", "activated"), call("activate"))
    await world.check(accounts=2)
    assert world.watcher.copies[world.alice.did].active


@pytest.mark.parametrize("point", ["takedown-row", "log-commit", "log-committed"])
async def test_a_takedown_and_its_reversal(world: World, point: str) -> None:
    await world.crash(point, lambda world: world.moderate(world.alice, takedown=True))
    await world.watcher.catch_up()
    await world.watcher.check()
    assert world.watcher.copies[world.alice.did].status == "takendown"
    world.server.stop()
    await world.crash(
        point.replace("takedown", "untakedown"),
        lambda world: world.moderate(world.alice, takedown=False),
    )
    await world.check(accounts=2)
    assert world.watcher.copies[world.alice.did].active


@pytest.mark.parametrize(
    "point",
    [
        *("journaled", "rows-deleted", "log-commit", "log-committed"),
        *("store-destroyed", "events-deleted", "journal-drop"),
    ],
)
async def test_a_deletion_is_finished(world: World, point: str) -> None:
    world.server.start(**ADMIN)
    await world.watcher.catch_up()
    world.server.stop()
    environ = {"TEST_DATA": str(world.server.data), "TEST_DID": world.alice.did, VARIABLE: point}
    world.server.run("tests.e2e.deleting:delete", **environ)
    world.server.start(**ADMIN)
    await world.check(accounts=1)
    assert world.watcher.copies[world.alice.did].status == "deleted"
    assert events_of(world.server.data, world.alice.did) == ["account"]


@pytest.mark.parametrize(
    "point", ["changes-settled", "log-commit", "log-committed", "store-mended"]
)
async def test_a_crash_while_recovering(world: World, point: str) -> None:
    await world.end_at("store-committed", lambda world: world.create(world.alice, "second"))
    world.server.launch(**ADMIN, **{VARIABLE: point})
    assert world.server.wait_ended(_REACHED_S), f"{point} was not reached"
    world.server.start(**ADMIN)
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first", "second"}


def test_every_fault_point_names_a_function_that_there_is() -> None:
    for point in POINTS.values():
        assert callable(getattr(resolve_name(point.owner), point.function))


async def _list(world: World, person: Person) -> set[str]:
    url = f"{world.server.url}/xrpc/com.atproto.repo.listRecords"
    async with world.http.get(url, params={"repo": person.did, "collection": NOTE}) as response:
        return {record["uri"].rpartition("/")[2] for record in (await response.json())["records"]}


async def _resolves(world: World, did: str) -> bool:
    async with world.http.get(f"{world.server.plc_url}/{did}") as response:
        return response.status == 200


def plc_dids(data: Path) -> set[str]:
    """Every DID that was ever made."""
    with closing(open_database(data / "plc.sqlite", create=False, read_only=True)) as db:
        return {did for (did,) in db.all("SELECT DISTINCT did FROM operation")}


def events_of(data: Path, did: str) -> list[str]:
    """The types of the events that the log has of a DID."""
    with closing(open_database(data / "sequencer.sqlite", create=False, read_only=True)) as db:
        rows = db.all("SELECT eventType FROM repo_seq WHERE did = ? ORDER BY seq", (did,))
        return [kind for (kind,) in rows]
