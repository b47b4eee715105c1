"""An account that the operator makes of a CAR: what comes of it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from repo.car import encode_car
from repo.cid import Cid
from repo.keys import P256PrivateKey
from tests.pds.api.exports import export, nothing_changes, read_car
from tests.pds.api.imports import CAR_TYPE, Repo, stranger
from tests.pds.api.records import NOTE
from tests.pds.api.signups import expect_nothing_left
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import kinds_of, read_events
from tests.pds.identities import ForeignDid, plc_data_for, register_foreign_did
from tests.reference import data

EMAIL = "dana@example.com"
BLOB = b"\x89PNG\r\n\x1a\n a picture"


@pytest.fixture
def owner(pds: Pds) -> ForeignDid:
    """A DID whose server has gone."""
    return register_foreign_did(pds, handle="dana.test")


def notes(count: int, **more: Any) -> dict[str, Any]:
    return {f"{NOTE}/{n:04}": {"$type": NOTE, "n": n, **more} for n in range(count)}


def repo_of(owner: ForeignDid, records: dict[str, Any] | None = None) -> Repo:
    return Repo.of(owner.did, owner.key, notes(30) if records is None else records)


def blob_ref(content: bytes = BLOB) -> dict[str, Any]:
    link = {"$link": str(Cid.of_raw(content))}
    return {"$type": "blob", "ref": link, "mimeType": "image/png", "size": len(content)}


async def bring(pds: Pds, car: bytes, *, email: str | None = EMAIL, **params: str) -> Reply:
    if email is not None:
        params["email"] = email
    headers = {**pds.admin, "Content-Type": CAR_TYPE}
    path = "/_holdfast/import"
    return await pds.request("POST", path, headers=headers, params=params, data=car)


async def missing(pds: Pds, did: str, **params: Any) -> Any:
    path = f"/_holdfast/blobs/{did}"
    return (await pds.request("GET", path, headers=pds.admin, params=params)).json["missing"]


async def put_blob(pds: Pds, did: str, cid: Cid, content: bytes) -> Reply:
    path = f"/_holdfast/blobs/{did}/{cid}"
    return await pds.request("PUT", path, headers=pds.admin, data=content)


# --- What comes of it


async def test_the_account_is_there_and_nobody_hears_of_it(pds: Pds, owner: ForeignDid) -> None:
    repo = repo_of(owner)
    reply = await bring(pds, repo.car())
    assert reply.status == 200, reply.body
    told = reply.json
    assert (told["did"], told["handle"]) == (owner.did, "dana.test")
    assert (told["records"], told["missingBlobs"]) == (30, 0)
    assert told["rev"] > repo.rev
    key = pds.ctx.actor_store.key(owner.did).did_key
    assert told["didCredentials"]["verificationMethods"] == {"atproto": key}
    assert told["didCredentials"]["rotationKeys"] == [pds.ctx.rotation_key.did_key]
    assert told["didCredentials"]["alsoKnownAs"] == ["at://dana.test"]
    assert read_events(pds) == []
    status = await pds.get("com.atproto.sync.getRepoStatus", did=owner.did)
    assert (status.json["active"], status.json["status"]) == (False, "deactivated")
    session = await pds.post(
        "com.atproto.server.createSession", {"identifier": EMAIL, "password": told["password"]}
    )
    assert session.status == 200, session.body
    auth = {"Authorization": f"Bearer {session.json['accessJwt']}"}
    car = await pds.get("com.atproto.sync.getRepo", auth, did=owner.did)
    assert read_car(car.body) == ((repo.commit().cid,), repo.blocks())


async def test_it_is_activated_once_its_identity_leads_here(pds: Pds, owner: ForeignDid) -> None:
    repo = repo_of(owner)
    await bring(pds, repo.car())
    path, body = (
        "com.atproto.admin.updateSubjectStatus",
        {
            "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": owner.did},
            "deactivated": {"applied": False},
        },
    )
    early = await pds.post(path, body, pds.admin)
    assert early.status == 400
    assert "DID" in early.json["message"]
    owner.update(pds, plc_data_for(pds, owner.did, handle="dana.test", owner_key=owner.key))
    assert (await pds.post(path, body, pds.admin)).status == 200
    assert kinds_of(read_events(pds)) == ["account", "identity", "sync"]
    found = await export(pds, owner.did)
    assert found.records == repo.cids()


async def test_a_second_file_takes_the_place_of_the_first(pds: Pds, owner: ForeignDid) -> None:
    first = (await bring(pds, repo_of(owner).car())).json
    repo = repo_of(owner, notes(5, changed=True))
    repo.rev = "3mmmmmmmmmm2a"
    # Handle and email are those of the account that is there.
    reply = await bring(pds, repo.car(), email=None)
    assert reply.status == 200, reply.body
    assert (reply.json["records"], reply.json["password"]) == (5, None)
    assert reply.json["didCredentials"] == first["didCredentials"]
    assert read_events(pds) == []


async def test_the_key_that_signed_can_be_named(pds: Pds, owner: ForeignDid) -> None:
    old = P256PrivateKey.generate()
    repo = Repo.of(owner.did, old, notes(3))
    assert (await bring(pds, repo.car())).status == 400
    reply = await bring(pds, repo.car(), key=old.did_key)
    assert (reply.status, reply.json["records"]) == (200, 3)


async def test_without_a_did_document_key_and_handle_are_named(pds: Pds) -> None:
    key = stranger()
    repo = Repo.of("did:plc:3kwllkzztbpgdj7ujjfg4ubk", key, notes(3))
    reply = await bring(pds, repo.car())
    assert reply.error == (400, "InvalidRequest")
    assert "--key" in reply.json["message"]
    reply = await bring(pds, repo.car(), key=key.did_key)
    assert "--handle" in reply.json["message"]
    await expect_nothing_left(pds)
    reply = await bring(pds, repo.car(), key=key.did_key, handle="Dana.test")
    assert (reply.status, reply.json["handle"]) == (200, "dana.test")


async def test_the_signature_can_be_ignored(pds: Pds, owner: ForeignDid) -> None:
    repo = Repo.of(owner.did, stranger(), notes(3))
    assert (await bring(pds, repo.car(), ignoreSignature="false")).status == 400
    assert (await bring(pds, repo.car(), ignoreSignature="true")).status == 200


async def test_an_export_of_an_account_that_is_deactivated_here_can_be_put_back(
    pds: Pds, alice: Account
) -> None:
    await pds.post_text(alice, "before")
    car = (await pds.get("com.atproto.sync.getRepo", did=alice.did)).body
    await pds.post_text(alice, "after")
    refused = await bring(pds, car)
    assert refused.status == 400
    assert "active" in refused.json["message"]
    assert len((await export(pds, alice.did)).records) == 2
    await pds.post("com.atproto.server.deactivateAccount", {}, alice.auth)
    reply = await bring(pds, car)
    assert (reply.status, reply.json["records"], reply.json["password"]) == (200, 1, None)


@pytest.mark.parametrize("name", data.ACTIVE)
async def test_what_the_reference_exported_can_be_brought(pds: Pds, name: str) -> None:
    account = data.manifest()["accounts"][name]
    car = (data.CARS / f"{name}.car").read_bytes()
    reply = await bring(pds, car, ignoreSignature="true", handle="moved.test")
    assert reply.status == 200, reply.body
    _, blocks = read_car(car)
    count = await pds.ctx.actor_store.read(account["did"], lambda actor: actor.repo.block_count())
    assert count == len(blocks)


# --- What is refused


def unsigned(repo: Repo) -> bytes:
    return Repo(repo.did, repo.records, stranger()).car()


def flipped(repo: Repo) -> bytes:
    car = bytearray(repo.car())
    car[-3] ^= 1
    return bytes(car)


def rootless(repo: Repo) -> bytes:
    return encode_car([], repo.blocks().items())


def without_a_record(repo: Repo) -> bytes:
    (*most, _last) = repo.blocks().items()
    return encode_car([repo.commit().cid], most)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (unsigned, "is not signed by"),
        (flipped, "at byte"),
        (rootless, "0 roots"),
        (without_a_record, "Could not parse record"),
        (lambda repo: repo.car()[:500], "at byte"),
        (lambda _: b"", "it is empty"),
        (lambda _: b"<html>not found</html>" * 20, "it is HTML"),
        (lambda repo: Repo("did:plc:../../etc/passwd", repo.records, repo.key).car(), "no commit"),
    ],
)
async def test_a_bad_car_makes_no_account(
    pds: Pds, owner: ForeignDid, damage: Callable[[Repo], bytes], reason: str
) -> None:
    reply = await bring(pds, damage(repo_of(owner)))
    assert reply.error == (400, "InvalidRequest")
    assert reason in reply.json["message"]
    await expect_nothing_left(pds)
    assert list(pds.ctx.settings.data_directory.glob("tmp*")) == []
    # What was refused does not stand in the way of what is right.
    assert (await bring(pds, repo_of(owner).car())).status == 200


async def test_a_bad_car_leaves_an_account_as_it_was(pds: Pds, owner: ForeignDid) -> None:
    did = (await bring(pds, repo_of(owner).car())).json["did"]
    before = await pds.ctx.actor_store.read(did, lambda actor: actor.repo.head())
    assert (await bring(pds, unsigned(repo_of(owner, notes(2))))).status == 400
    assert await pds.ctx.actor_store.read(did, lambda actor: actor.repo.head()) == before


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"email": None}, "--email"),
        ({"email": "nonsense"}, "email"),
        ({"handle": "no handle"}, "handle"),
        ({"handle": "a.b.test"}, "handle"),
        ({"handle": "dana.example.com"}, "--handle"),
        ({"handle": "alice.test"}, "already taken"),
        ({"email": "alice@example.com"}, "already in use"),
        ({"key": "did:key:zNonsense"}, "key must be"),
    ],
)
async def test_what_cannot_be_an_account_is_refused(
    pds: Pds, owner: ForeignDid, params: dict[str, Any], said: str
) -> None:
    alice = await pds.create_account("alice")
    async with nothing_changes(pds, alice):
        reply = await bring(pds, repo_of(owner).car(), **params)
        assert reply.status == 400
        assert said.lower() in reply.json["message"].lower()
        assert not pds.ctx.actor_store.exists(owner.did)
        assert pds.ctx.accounts.find_account(owner.did, include_inactive=True) is None


async def test_a_reserved_handle_is_given_out_by_the_operator_alone(pds: Pds) -> None:
    owner = register_foreign_did(pds, handle="admin.test")
    assert (await bring(pds, repo_of(owner).car())).error == (400, "HandleNotAvailable")
    await expect_nothing_left(pds)
    reply = await bring(pds, repo_of(owner).car(), handle="admin.test")
    assert (reply.status, reply.json["handle"]) == (200, "admin.test")


async def test_an_account_that_is_taken_down_stays_as_it_is(pds: Pds, owner: ForeignDid) -> None:
    did = (await bring(pds, repo_of(owner).car())).json["did"]
    await pds.ctx.accounts.states.takedown(did)
    reply = await bring(pds, repo_of(owner, notes(1)).car())
    assert reply.status == 400
    assert "takendown" in reply.json["message"]


# --- Blobs


async def test_blobs_that_are_missing_are_listed_and_taken(pds: Pds, owner: ForeignDid) -> None:
    other = b"another picture"
    records = notes(2, image=blob_ref()) | {f"{NOTE}/other": {"image": blob_ref(other)}}
    told = (await bring(pds, repo_of(owner, records).car())).json
    assert told["missingBlobs"] == 2
    first, second = sorted(str(Cid.of_raw(content)) for content in (BLOB, other))
    assert await missing(pds, owner.did) == [first, second]
    assert await missing(pds, "dana.test", limit=1) == [first]
    assert await missing(pds, owner.did, cursor=first) == [second]
    reply = await put_blob(pds, owner.did, Cid.of_raw(BLOB), BLOB)
    assert reply.json == {
        "cid": str(Cid.of_raw(BLOB)),
        "mimeType": "image/png",
        "size": len(BLOB),
    }
    assert await missing(pds, owner.did) == [str(Cid.of_raw(other))]
    # The bytes do not tell what they are, but the record does.
    reply = await put_blob(pds, owner.did, Cid.of_raw(other), other)
    assert reply.json["mimeType"] == "image/png"
    assert await missing(pds, owner.did) == []
    blob = await pds.ctx.blob_store.open(owner.did, Cid.of_raw(BLOB))
    await blob.close()
    assert blob.size == len(BLOB)


async def test_uploads_that_nothing_refers_to_make_up_for_no_missing_blob(
    pds: Pds, alice: Account
) -> None:
    await pds.create_record(alice, NOTE, {"image": (await pds.upload(alice, BLOB)).json["blob"]})
    car = (await pds.get("com.atproto.sync.getRepo", did=alice.did)).body
    for number in range(3):
        await pds.upload(alice, b"unused %d" % number)
    await pds.post("com.atproto.server.deactivateAccount", {}, alice.auth)
    assert (await bring(pds, car)).json["missingBlobs"] == 0


async def test_blobs_of_nobody_and_wrong_bytes_are_not_kept(pds: Pds, owner: ForeignDid) -> None:
    await bring(pds, repo_of(owner, notes(1, image=blob_ref())).car())
    wrong = await put_blob(pds, owner.did, Cid.of_raw(BLOB), b"other bytes")
    assert wrong.error == (400, "InvalidRequest")
    assert str(Cid.of_raw(b"other bytes")) in wrong.json["message"]
    unused = await put_blob(pds, owner.did, Cid.of_raw(b"x"), b"x")
    assert unused.error == (400, "InvalidRequest")
    path = f"/_holdfast/blobs/{owner.did}/nonsense"
    bad = await pds.request("PUT", path, headers=pds.admin, data=b"x")
    assert bad.error == (400, "InvalidRequest")
    nobody = await put_blob(pds, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", Cid.of_raw(b"x"), b"x")
    assert nobody.error == (404, "AccountNotFound")
    assert await pds.ctx.actor_store.read(owner.did, lambda actor: actor.blob.count()) == 0
    uploads = pds.ctx.settings.data_directory / "blobs" / "temp" / owner.did
    assert not uploads.exists() or list(uploads.iterdir()) == []
