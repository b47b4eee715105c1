"""com.atproto.repo.importRepo and what follows: missing blobs, the account's status, activation."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO

import pytest

from actor_store.opening import StoreOpener
from database.connection import Database
from identity.did_document import DidDocument
from identity.resolver import DidResolver, DidUnresolvable
from pds.repos import imports
from repo import dagcbor
from repo.car import encode_block, encode_car, encode_header
from repo.cid import Cid
from repo.commit import sign_commit
from repo.syntax import Did
from tests.pds.api.exports import export, nothing_changes, read_car
from tests.pds.api.imports import Mover, Repo, import_car, move_in, stranger
from tests.pds.api.records import NOTE, create, get
from tests.pds.conftest import Account, Pds
from tests.pds.events import kinds_of, read_events
from tests.pds.identities import plc_data_for
from tests.reference import data

FULL = (503, "NotEnoughResources")
STATUS = "com.atproto.server.checkAccountStatus"
MISSING = "com.atproto.repo.listMissingBlobs"
ACTIVATE = "com.atproto.server.activateAccount"
TEXT = b"a file that was uploaded elsewhere"


@pytest.fixture
async def mover(pds: Pds) -> Mover:
    """An account that is about to bring its repository."""
    return await move_in(pds)


def notes(count: int, **more: Any) -> dict[str, Any]:
    return {f"{NOTE}/{n:06}": {"$type": NOTE, "n": n, **more} for n in range(count)}


async def status(pds: Pds, account: Account) -> Any:
    reply = await pds.get(STATUS, account.auth)
    assert reply.status == 200, reply.body
    return reply.json


# --- Good imports


async def test_an_account_that_moves_in_gets_its_records(pds: Pds, mover: Mover) -> None:
    repo = mover.repo(notes(300))
    before = await status(pds, mover.account)
    assert (before["activated"], before["validDid"]) == (False, False)
    reply = await import_car(pds, mover.account, repo.car())
    assert (reply.status, reply.body) == (200, b"")
    told = await status(pds, mover.account)
    assert told["repoCommit"] == str(repo.commit().cid)
    assert told["repoRev"] > repo.rev
    assert told["indexedRecords"] == 300
    assert told["repoBlocks"] == len(repo.blocks())
    assert (told["expectedBlobs"], told["importedBlobs"]) == (0, 0)
    assert read_events(pds) == []
    car = await pds.get("com.atproto.sync.getRepo", mover.account.auth, did=mover.did)
    assert read_car(car.body) == ((repo.commit().cid,), repo.blocks())


async def test_activation_announces_a_commit_that_consumers_can_verify(
    pds: Pds, mover: Mover
) -> None:
    repo = mover.repo(notes(20))
    await import_car(pds, mover.account, repo.car())
    moved = plc_data_for(pds, mover.owner.did, handle="dana.test", owner_key=mover.owner.key)
    mover.owner.update(pds, moved)
    assert (await pds.post(ACTIVATE, headers=mover.account.auth)).status == 200
    events = read_events(pds)
    assert kinds_of(events) == ["account", "identity", "sync"]
    (root,), blocks = read_car(events[2].body["blocks"])
    found = await export(pds, mover.did)
    assert found.head == root
    assert set(blocks) == {root}
    assert found.records == repo.cids()
    # Activating once more finds nothing to renew.
    assert (await pds.post(ACTIVATE, headers=mover.account.auth)).status == 200
    assert (await export(pds, mover.did)).head == root
    reply = await create(pds, mover.account, {"n": 1}, rkey="new")
    assert reply.status == 200, reply.body
    written = await export(pds, mover.did)
    assert set(written.records) == {*repo.cids(), f"{NOTE}/new"}
    (event,) = [event for event in read_events(pds) if event.kind == "append"]
    assert (event.body["prevData"], event.body["since"]) == (found.commit.data, found.commit.rev)


async def test_an_export_of_the_same_account_can_be_put_back(pds: Pds, alice: Account) -> None:
    for rkey in ("a", "b", "c"):
        await create(pds, alice, {"text": rkey}, rkey=rkey)
    car = (await pds.get("com.atproto.sync.getRepo", did=alice.did)).body
    before = await export(pds, alice.did)
    await create(pds, alice, {"text": "d"}, rkey="d")
    seq = pds.ctx.sequencer.current_seq
    assert (await import_car(pds, alice, car)).status == 200
    after = await export(pds, alice.did)
    assert after.records == before.records
    assert after.commit.rev > before.commit.rev
    # Its consumers are told where the repository is now.
    (event,) = read_events(pds, after=seq)
    assert event.kind == "sync"
    assert event.body["rev"] == after.commit.rev
    assert (await get(pds, alice, "d")).error == (400, "RecordNotFound")
    assert (await create(pds, alice, {"text": "e"}, rkey="e")).status == 200
    assert set((await export(pds, alice.did)).records) == {*before.records, f"{NOTE}/e"}


async def test_a_second_import_leaves_nothing_of_the_first(pds: Pds, mover: Mover) -> None:
    await import_car(pds, mover.account, mover.repo(notes(50)).car())
    records = notes(40) | {f"{NOTE}/000003": {"$type": NOTE, "n": "changed"}}
    repo = mover.repo(records | {f"{NOTE}/zzz": {"$type": NOTE, "n": "new"}})
    assert (await import_car(pds, mover.account, repo.car())).status == 200
    car = await pds.get("com.atproto.sync.getRepo", mover.account.auth, did=mover.did)
    assert read_car(car.body) == ((repo.commit().cid,), repo.blocks())
    assert (await status(pds, mover.account))["indexedRecords"] == 41


async def test_blocks_beside_the_tree_are_not_kept(pds: Pds, mover: Mover) -> None:
    repo = mover.repo(notes(5))
    junk = dagcbor.encode({"junk": True})
    blocks = [*repo.blocks().items(), (Cid.of_dag_cbor(junk), junk)]
    car = encode_car([repo.commit().cid], [*blocks, *blocks[:3]])
    assert (await import_car(pds, mover.account, car)).status == 200
    assert (await status(pds, mover.account))["repoBlocks"] == len(repo.blocks())


async def test_a_car_may_come_in_many_parts_and_in_any_order(pds: Pds, mover: Mover) -> None:
    repo = mover.repo(notes(50))
    car = encode_car([repo.commit().cid], reversed(repo.blocks().items()))

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(car), 777):
            yield car[start : start + 777]

    assert (await import_car(pds, mover.account, parts())).status == 200
    assert (await status(pds, mover.account))["indexedRecords"] == 50


@pytest.mark.parametrize("name", data.ACTIVE)
async def test_what_the_reference_exported_is_not_anybody_elses(
    pds: Pds, mover: Mover, name: str
) -> None:
    car = (data.CARS / f"{name}.car").read_bytes()
    reply = await import_car(pds, mover.account, car)
    assert reply.error == (400, "InvalidRequest")
    assert data.manifest()["accounts"][name]["did"] in reply.json["message"]


# --- Blobs


def blob_json(cid: str, size: int) -> dict[str, Any]:
    return {"$type": "blob", "ref": {"$link": cid}, "mimeType": "text/plain", "size": size}


async def test_missing_blobs_are_listed_until_they_are_uploaded(
    pds: Pds, mover: Mover, alice: Account
) -> None:
    texts = [b"first file", b"second file", b"third file"]
    cids = []
    for text in texts:
        uploaded = (await pds.upload(alice, text, "text/plain")).json["blob"]
        cids.append(uploaded["ref"]["$link"])
    records = {
        f"{NOTE}/{n}": {"$type": NOTE, "file": blob_json(cid, len(text))}
        for n, (cid, text) in enumerate(zip(cids, texts, strict=True))
    }
    await import_car(pds, mover.account, mover.repo(records).car())
    auth = mover.account.auth
    first = (await pds.get(MISSING, auth, limit=2)).json
    rest = (await pds.get(MISSING, auth, limit=2, cursor=first["cursor"])).json
    listed = [*first["blobs"], *rest["blobs"]]
    assert [blob["cid"] for blob in listed] == sorted(cids)
    assert {blob["recordUri"] for blob in listed} == {f"at://{mover.did}/{key}" for key in records}
    told = await status(pds, mover.account)
    assert (told["expectedBlobs"], told["importedBlobs"]) == (3, 0)
    for text in texts:
        assert (await pds.upload(mover.account, text, "text/plain")).status == 200
    assert (await pds.get(MISSING, auth)).json == {"blobs": []}
    told = await status(pds, mover.account)
    assert (told["expectedBlobs"], told["importedBlobs"]) == (3, 3)
    for cid, text in zip(cids, texts, strict=True):
        got = await pds.get("com.atproto.sync.getBlob", auth, did=mover.did, cid=cid)
        assert (got.status, got.body) == (200, text)


async def test_an_upload_before_the_import_counts(pds: Pds, mover: Mover) -> None:
    blob = (await pds.upload(mover.account, TEXT, "text/plain")).json["blob"]
    await import_car(
        pds, mover.account, mover.repo({f"{NOTE}/a": {"$type": NOTE, "file": blob}}).car()
    )
    assert (await pds.get(MISSING, mover.account.auth)).json == {"blobs": []}
    cid = blob["ref"]["$link"]
    got = await pds.get("com.atproto.sync.getBlob", mover.account.auth, did=mover.did, cid=cid)
    assert (got.status, got.body) == (200, TEXT)


# --- Refused, with nothing changed


def without(repo: Repo, missing: Cid) -> bytes:
    blocks = repo.blocks()
    del blocks[missing]
    return encode_car([repo.commit().cid], blocks.items())


def cut_off(repo: Repo) -> bytes:
    return repo.car()[:-10]


def flipped(repo: Repo) -> bytes:
    car = bytearray(repo.car())
    car[-5] ^= 1
    return bytes(car)


def two_roots(repo: Repo) -> bytes:
    return encode_car([repo.commit().cid, repo.nodes()[-1][0]], repo.blocks().items())


def no_root(repo: Repo) -> bytes:
    return encode_car([], repo.blocks().items())


def root_missing(repo: Repo) -> bytes:
    return without(repo, repo.commit().cid)


def root_is_a_record(repo: Repo) -> bytes:
    return encode_car([next(iter(repo.cids().values()))], repo.blocks().items())


def record_missing(repo: Repo) -> bytes:
    return without(repo, list(repo.cids().values())[3])


def node_missing(repo: Repo) -> bytes:
    return without(repo, repo.nodes()[0][0])


def forged(repo: Repo) -> bytes:
    repo.key = stranger()
    return repo.car()


def of_somebody_else(repo: Repo) -> bytes:
    repo.did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    return repo.car()


def far_in_the_future(repo: Repo) -> bytes:
    repo.rev = "7777777777777"
    return repo.car()


def no_tid(repo: Repo) -> bytes:
    repo.rev = "not-a-tid-yet"
    return repo.car()


def older_version(repo: Repo) -> bytes:
    commit = repo.commit().commit
    unsigned: dict[str, dagcbor.Value] = {
        "did": repo.did,
        "version": 2,
        "data": commit.data,
        "rev": repo.rev,
        "prev": None,
    }
    block = dagcbor.encode({**unsigned, "sig": repo.key.sign(dagcbor.encode(unsigned))})
    cid = Cid.of_dag_cbor(block)
    return encode_car([cid], [*repo.blocks().items(), (cid, block)])


def with_record(repo: Repo, block: bytes, key: str = f"{NOTE}/000000") -> bytes:
    repo.records[key] = block
    return repo.car()


def record_is_huge(repo: Repo) -> bytes:
    return with_record(repo, dagcbor.encode({"x": "x" * 2_200_000}))


def key_is_no_key(repo: Repo) -> bytes:
    return with_record(repo, dagcbor.encode({"n": 1}), "nodots/x")


def tree_of_a_cycle(repo: Repo) -> bytes:
    # A node cannot have its own CID in it, so this one only claims to.
    (cid, block) = repo.nodes()[-1]
    return encode_car([repo.commit().cid], {**repo.blocks(), cid: block + b"\x00"}.items())


def tree_is_a_record(repo: Repo) -> bytes:
    commit = sign_commit(
        repo.did, data=next(iter(repo.cids().values())), rev=repo.rev, key=repo.key
    )
    return encode_car([commit.cid], [(commit.cid, commit.block), *repo.blocks().items()])


def tree_of_wrong_layers(repo: Repo) -> bytes:
    # All keys in one node, whatever their hashes say.
    entries: list[dagcbor.Value] = []
    last = b""
    for path, cid in repo.cids().items():
        key = path.encode()
        shared = next(
            (n for n, (a, b) in enumerate(zip(key, last, strict=False)) if a != b),
            min(len(key), len(last)),
        )
        entries.append({"k": key[shared:], "p": shared, "t": None, "v": cid})
        last = key
    node = dagcbor.encode({"e": entries, "l": None})
    cid = Cid.of_dag_cbor(node)
    commit = sign_commit(repo.did, data=cid, rev=repo.rev, key=repo.key)
    blocks = [(commit.cid, commit.block), (cid, node), *repo.blocks().items()]
    return encode_car([commit.cid], blocks)


def huge_header(_: Repo) -> bytes:
    return b"\xff\xff\xff\x7f" + bytes(100)


def endless_number(_: Repo) -> bytes:
    return b"\xff" * 40


def another_hash(repo: Repo) -> bytes:
    section = b"\x01\x71\x13\x40" + bytes(64) + b"x"
    return encode_header([repo.commit().cid]) + bytes([len(section)]) + section


def block_of_nothing(repo: Repo) -> bytes:
    return encode_header([repo.commit().cid]) + b"\x00"


def one_block(repo: Repo) -> bytes:
    commit = repo.commit()
    return encode_header([commit.cid]) + encode_block(commit.cid, commit.block)


REFUSED: dict[Callable[[Repo], bytes], str] = {
    cut_off: "at byte",
    flipped: "does not hash to its CID",
    two_roots: "expected one root",
    no_root: "expected one root",
    root_missing: "is not among the blocks",
    root_is_a_record: "is no commit",
    record_missing: "Could not parse record at",
    node_missing: "bafyrei",
    forged: "is not signed by a key of",
    of_somebody_else: "is one of did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
    far_in_the_future: "more than a day ahead",
    no_tid: "rev",
    older_version: "is no commit",
    record_is_huge: "at byte",
    key_is_no_key: "bafyrei",
    tree_of_a_cycle: "does not hash to its CID",
    tree_is_a_record: "bafyrei",
    tree_of_wrong_layers: "bafyrei",
    huge_header: "at byte",
    endless_number: "at byte",
    another_hash: "at byte",
    block_of_nothing: "at byte",
    one_block: "is not among the blocks",
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
async def test_a_bad_car_is_refused_with_its_reason_and_changes_nothing(
    pds: Pds, mover: Mover, spoil: Callable[[Repo], bytes]
) -> None:
    await import_car(pds, mover.account, mover.repo(notes(3, old=True)).car())
    async with nothing_changes(pds, mover.account):
        reply = await import_car(pds, mover.account, spoil(mover.repo(notes(30))))
        assert reply.error == (400, "InvalidRequest"), reply.body
        assert REFUSED[spoil] in reply.json["message"]


@pytest.mark.parametrize("body", [b"", b"not a CAR at all"], ids=["nothing", "text"])
async def test_what_is_no_car_is_refused(pds: Pds, mover: Mover, body: bytes) -> None:
    async with nothing_changes(pds, mover.account):
        reply = await import_car(pds, mover.account, body)
        assert reply.error == (400, "InvalidRequest")


async def test_another_media_type_is_refused(pds: Pds, mover: Mover) -> None:
    car = mover.repo(notes(1)).car()
    reply = await import_car(pds, mover.account, car, content_type="application/json")
    assert reply.error == (400, "InvalidRequest")


async def test_without_a_did_document_nothing_is_imported(
    pds: Pds, mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_nothing(_: DidResolver, did: Did, *, force: bool = False) -> DidDocument:
        assert force, "a document from the cache may be older than the key"
        raise DidUnresolvable(did, "nobody answers")

    monkeypatch.setattr(DidResolver, "resolve", find_nothing)
    async with nothing_changes(pds, mover.account):
        reply = await import_car(pds, mover.account, mover.repo(notes(1)).car())
        assert reply.error == (400, "InvalidRequest")
        assert mover.did in reply.json["message"]


async def test_a_taken_down_account_imports_nothing(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.states.takedown(pds.ctx.accounts.get_account(alice.did).did)
    reply = await import_car(pds, alice, b"")
    assert reply.error == (401, "AccountTakedown")


async def test_an_app_password_imports_nothing(pds: Pds, alice: Account) -> None:
    made = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, alice.auth)
    login = {"identifier": alice.did, "password": made.json["password"]}
    session = (await pds.post("com.atproto.server.createSession", login)).json
    headers = {
        "Authorization": f"Bearer {session['accessJwt']}",
        "Content-Type": "application/vnd.ipld.car",
    }
    reply = await pds.request(
        "POST", "/xrpc/com.atproto.repo.importRepo", headers=headers, data=b"x"
    )
    assert reply.error == (400, "InvalidToken")


# --- Limits


class TestLimited:
    """A server that takes little."""

    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_MAX_REPO_IMPORT_SIZE": "5000"}

    @pytest.mark.parametrize("tells_its_length", [True, False])
    async def test_a_car_that_is_too_large_is_refused(
        self, pds: Pds, mover: Mover, tells_its_length: bool
    ) -> None:
        car = mover.repo(notes(100)).car()
        assert len(car) > 5000

        async def parts() -> AsyncIterator[bytes]:
            yield car

        async with nothing_changes(pds, mover.account):
            reply = await import_car(pds, mover.account, car if tells_its_length else parts())
            assert reply.error == (413, "PayloadTooLarge")
        assert (await import_car(pds, mover.account, mover.repo(notes(5)).car())).status == 200


class TestNotAccepting:
    """A server that takes nobody in."""

    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_ACCEPTING_REPO_IMPORTS": "false"}

    async def test_imports_are_refused(self, pds: Pds, alice: Account) -> None:
        reply = await import_car(pds, alice, b"")
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == "Service is not accepting repo imports"


async def test_an_import_beyond_the_quota_is_refused(pds: Pds, mover: Mover) -> None:
    quota = {"quotaBytes": 100_000}
    path = f"/_holdfast/quota/{mover.did}"
    assert (await pds.request("PUT", path, headers=pds.admin, json=quota)).status == 200
    async with nothing_changes(pds, mover.account):
        reply = await import_car(pds, mover.account, mover.repo(notes(2000)).car())
        assert reply.error == (400, "QuotaExceeded")
    assert (await import_car(pds, mover.account, mover.repo(notes(5)).car())).status == 200
    told = await status(pds, mover.account)
    assert told["storage"]["quotaBytes"] == 100_000


async def test_a_full_disk_refuses_an_import_and_keeps_what_there_is(
    pds: Pds, mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    await import_car(pds, mover.account, mover.repo(notes(3)).car())
    for_work = StoreOpener.for_work

    def with_little_room(self: StoreOpener, did: str, **options: Any) -> Database:
        db = for_work(self, did, **options)
        db.run(f"PRAGMA max_page_count = {db.value('PRAGMA page_count') + 2}")
        return db

    async with nothing_changes(pds, mover.account):
        with monkeypatch.context() as patch:
            patch.setattr(StoreOpener, "for_work", with_little_room)
            reply = await import_car(pds, mover.account, mover.repo(notes(3000)).car())
        assert reply.error == FULL
    assert (await import_car(pds, mover.account, mover.repo(notes(3000)).car())).status == 200


async def test_a_full_disk_takes_no_body(
    pds: Pds, mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_device(**_: Any) -> BinaryIO:
        return open("/dev/full", "w+b", buffering=0)  # noqa: PTH123 (the spool closes it)

    monkeypatch.setattr(tempfile, "TemporaryFile", full_device)
    async with nothing_changes(pds, mover.account):
        reply = await import_car(pds, mover.account, mover.repo(notes(3000)).car())
        assert reply.error == FULL


async def test_what_the_account_has_not_signed_is_refused_before_it_is_stored(
    pds: Pds, mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(imports, "load_repo", loaded.append)
    reply = await import_car(pds, mover.account, forged(mover.repo(notes(3))))
    assert reply.status == 400
    assert "is not signed by a key of" in reply.json["message"]
    assert loaded == []


# --- Side by side


async def test_of_two_imports_at_once_one_waits_or_is_refused(pds: Pds, mover: Mover) -> None:
    cars = [mover.repo(notes(400, by=n)).car() for n in range(2)]
    replies = await asyncio.gather(*(import_car(pds, mover.account, car) for car in cars))
    assert sorted(reply.status for reply in replies) in ([200, 200], [200, 503])
    car = await pds.get("com.atproto.sync.getRepo", mover.account.auth, did=mover.did)
    (root,), blocks = read_car(car.body)
    repos = [mover.repo(notes(400, by=n)) for n in range(2)]
    assert (root, blocks) in [(repo.commit().cid, repo.blocks()) for repo in repos]


async def test_writes_during_an_import_come_before_or_after_it(pds: Pds, alice: Account) -> None:
    for n in range(5):
        await create(pds, alice, {"n": n}, rkey=f"old{n}")
    car = (await pds.get("com.atproto.sync.getRepo", did=alice.did)).body
    replies = await asyncio.gather(
        import_car(pds, alice, car),
        *(create(pds, alice, {"n": n}, rkey=f"new{n}") for n in range(10)),
    )
    assert {reply.status for reply in replies} == {200}
    found = await export(pds, alice.did)
    assert {f"{NOTE}/old{n}" for n in range(5)} <= set(found.records)
    # Each event is above the one before, and the last is where the repository is.
    revs = [event.body["rev"] for event in read_events(pds) if event.kind in ("append", "sync")]
    assert revs == sorted(revs)
    assert revs[-1] == found.commit.rev
