"""A crash at every step of every change: what is there after the next start is whole.

Each test starts a server that ends itself at a fault point (see `tests.faults`), makes one change,
starts again, and compares repositories, listRepos, DIDs and two consumers of the firehose: one
that had followed before the crash, and one that reads the log from its beginning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from database.opening import open_database
from identity.plc_operation import PlcOperation
from pds.config.env_file import read_env_file
from repo.keys import K256PrivateKey
from tests.e2e.promises import BROKEN, NotAnswered, Person, sign_up
from tests.e2e.world import ENVIRON, REACHED_S, World
from tests.faults import POINTS
from tests.pds.api.imports import Repo
from tests.pds.conftest import basic_auth

_MOVED = "did:plc:3kwllkzztbpgdj7ujjfg4ubk"
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


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
    await world.watcher.catch_up()
    if "image" not in await world.records(world.alice):
        await post_image(world)
        await world.watcher.catch_up()
    assert await world.records(world.alice) == {"first", "image"}
    _, blobs = await world.get("com.atproto.sync.listBlobs", did=world.alice.did)
    (cid,) = blobs["cids"]
    got = await world.get("com.atproto.sync.getBlob", did=world.alice.did, cid=cid)
    assert got == (200, _PNG)
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


@pytest.mark.parametrize(
    ("point", "arrived"),
    [
        ("journaled", False),
        ("plc-sent", True),
        ("log-commit", True),
        ("log-committed", True),
        ("journal-drop", True),
        ("journal-dropped", True),
    ],
)
async def test_an_operation_of_the_user_s_own(world: World, point: str, arrived: bool) -> None:
    """What the directory has taken is told, though it leaves the handle as it is."""
    did, key = world.alice.did, K256PrivateKey.generate().did_key

    async def submit(world: World) -> None:
        operation = await _sign_rotation_key(world, did, key)
        nsid = "com.atproto.identity.submitPlcOperation"
        await world.post(nsid, world.alice.auth, operation=operation)

    told = events_of(world.server.data, did).count("identity")
    await world.crash(point, submit)
    await world.check(accounts=2)
    assert (key in (await _plc_data(world, did))["rotationKeys"]) == arrived
    assert (events_of(world.server.data, did).count("identity") > told) == arrived


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


@pytest.mark.parametrize(
    ("point", "imported"),
    [
        ("import-spooled", False),
        ("import-loaded", False),
        ("store-commit", False),
        ("import-committed", True),
        ("log-commit", True),
        ("log-committed", True),
    ],
)
async def test_an_import_into_an_active_account(world: World, point: str, imported: bool) -> None:
    car = await export_and_write(world)
    await world.crash(point, lambda world: import_car(world, car))
    await world.check(accounts=2)
    expected = {"first"} if imported else {"first", "second"}
    assert await world.records(world.alice) == expected


@pytest.mark.parametrize("point", ["import-spooled", "import-loaded", "import-committed"])
async def test_an_import_of_an_account_that_moves_in(world: World, point: str) -> None:
    car = await export_and_write(world, then_deactivate=True)
    await world.crash(point, lambda world: import_car(world, car))
    # Whichever state it has, it can be brought to the other, and be activated.
    await import_car(world, car)
    await world.post("com.atproto.server.activateAccount", world.alice.auth)
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first"}


@pytest.mark.parametrize(
    "point", ["store-commit", "commit-renewed", "activated-row", "log-commit", "log-committed"]
)
async def test_an_activation_after_an_import(world: World, point: str) -> None:
    car = await export_and_write(world, then_deactivate=True)
    world.start()
    await import_car(world, car)
    world.server.stop()
    activate = "com.atproto.server.activateAccount"
    await world.crash(point, lambda world: world.post(activate, world.alice.auth))
    await world.post(activate, world.alice.auth)
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first"}


@pytest.mark.parametrize(
    ("point", "is_there"),
    [
        ("import-spooled", False),
        ("journaled", False),
        ("store-created", False),
        ("import-loaded", False),
        ("import-committed", False),
        ("rows-created", True),
        ("journal-drop", True),
        ("journal-dropped", True),
    ],
)
async def test_an_account_that_an_operator_makes_of_a_car(
    world: World, point: str, is_there: bool
) -> None:
    key = K256PrivateKey.generate()
    car = Repo.of(_MOVED, key, {"com.example.note/a": {"n": 1}}).car()
    query = {"email": "carol@example.com", "handle": "carol.test", "key": key.did_key}
    operator = basic_auth("admin", ENVIRON["PDS_ADMIN_PASSWORD"])

    async def bring(world: World) -> int:
        url = f"{world.server.url}/_holdfast/import"
        async with world.http.post(url, params=query, headers=operator, data=car) as response:
            return response.status

    async def bring_in_vain(world: World) -> None:
        with suppress(*BROKEN):
            await bring(world)

    await world.crash(point, bring_in_vain)
    status, answer = await world.get("com.atproto.sync.getRepoStatus", did=_MOVED)
    assert (status, answer.get("status")) == ((200, "deactivated") if is_there else (400, None))
    assert bool(list(world.server.data.glob(f"actors/??/{_MOVED}"))) is is_there
    # Whichever state it has, it can be brought, and nobody has heard of it.
    assert await bring(world) == 200
    await world.watcher.catch_up()
    assert _MOVED not in world.watcher.copies


async def export_and_write(world: World, *, then_deactivate: bool = False) -> bytes:
    """Alice's repository as it is, before a second record comes; then the server is stopped."""
    world.start()
    await world.watcher.catch_up()
    _, car = await world.get("com.atproto.sync.getRepo", did=world.alice.did)
    await world.create(world.alice, "second")
    if then_deactivate:
        later = "2040-01-01T00:00:00Z"
        nsid = "com.atproto.server.deactivateAccount"
        await world.post(nsid, world.alice.auth, deleteAfter=later)
    await world.watcher.catch_up()
    world.server.stop()
    return bytes(car)


async def import_car(world: World, car: bytes) -> None:
    """Replace alice's repository."""
    url = f"{world.server.url}/xrpc/com.atproto.repo.importRepo"
    headers = {**world.alice.auth, "Content-Type": "application/vnd.ipld.car"}
    with suppress(*BROKEN):
        async with world.http.post(url, headers=headers, data=car) as response:
            assert response.status == 200, await response.text()


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
    await world.crash(point, lambda world: world.delete(world.alice))
    await world.check(accounts=1)
    assert world.watcher.copies[world.alice.did].status == "deleted"
    assert events_of(world.server.data, world.alice.did) == ["account"]


@pytest.mark.parametrize(
    "point", ["changes-settled", "log-commit", "log-committed", "store-mended"]
)
async def test_a_crash_while_recovering(world: World, point: str) -> None:
    await world.end_at("store-committed", lambda world: world.create(world.alice, "second"))
    world.server.launch(fault=point, **ENVIRON)
    assert world.server.wait_ended(REACHED_S), f"{point} was not reached"
    world.start()
    await world.check(accounts=2)
    assert await world.records(world.alice) == {"first", "second"}


def test_every_fault_point_names_a_function_that_there_is() -> None:
    for point in POINTS.values():
        assert callable(getattr(resolve_name(point.owner), point.function))


async def _plc_data(world: World, did: str) -> dict[str, Any]:
    """What the directory says of a DID."""
    async with world.http.get(f"{world.server.plc_url}/{did}/data") as response:
        data: dict[str, Any] = await response.json()
        return data


async def _sign_rotation_key(world: World, did: str, added: str) -> dict[str, Any]:
    """An operation that gives a DID one more rotation key, signed with the server's."""
    secret = read_env_file(world.server.data / "dev.env")
    key = bytes.fromhex(secret["PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX"])
    async with world.http.get(f"{world.server.plc_url}/{did}/log/last") as response:
        last = PlcOperation.parse(await response.json())
    assert last.data is not None
    data = replace(last.data, rotation_keys=(added, *last.data.rotation_keys))
    return PlcOperation.sign(data, prev=last.cid, key=K256PrivateKey.from_bytes(key)).to_json()


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
