"""The reading half of the protocol, from CAR files that another server exported."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from identity.did_document import DidDocument
from repo.cid import Cid
from repo.keys import parse_did_key
from tests.pds.api.exports import read_car, verify_export
from tests.pds.api.firehose import Message
from tests.pds.car.cars import DID
from tests.pds.readonly.conftest import NAMES, ReadonlyServer
from tests.pds.readonly.hostile import BLOBS
from tests.reference import data

each_account = pytest.mark.parametrize("name", NAMES)


def account(name: str) -> Any:
    return data.manifest()["accounts"][name]


def test_the_server_says_that_it_is_read_only(archive: ReadonlyServer) -> None:
    described = archive.client.call("com.atproto.server.describeServer")
    assert described["readOnly"] is True
    assert described["availableUserDomains"] == []


@each_account
def test_heads_and_states_are_those_of_the_exporting_server(
    archive: ReadonlyServer, name: str
) -> None:
    client, seen = archive.client, account(name)
    did = seen["did"]
    assert client.call("com.atproto.sync.getLatestCommit", did=did) == seen["latestCommit"]
    assert client.call("com.atproto.sync.getRepoStatus", did=did) == seen["repoStatus"]
    described = client.call("com.atproto.repo.describeRepo", repo=did)
    assert described["collections"] == seen["collections"]
    assert described["handle"] == seen["handle"]
    assert described["handleIsCorrect"] is True
    assert described["didDoc"]["id"] == did
    resolved = client.call("com.atproto.identity.resolveHandle", handle=seen["handle"])
    assert resolved == {"did": did}


def test_all_repositories_are_listed(archive: ReadonlyServer) -> None:
    repos = archive.client.call("com.atproto.sync.listRepos")["repos"]
    assert {repo["did"]: repo["head"] for repo in repos} == {
        account(name)["did"]: account(name)["latestCommit"]["cid"] for name in NAMES
    }


def test_records_are_the_same(archive: ReadonlyServer) -> None:
    for record in data.manifest()["records"]:
        _, _, did, collection, rkey = record["uri"].split("/")
        params = {"repo": did, "collection": collection, "rkey": rkey}
        assert archive.client.call("com.atproto.repo.getRecord", **params) == record


@each_account
def test_an_export_has_the_blocks_of_the_file(archive: ReadonlyServer, name: str) -> None:
    did = account(name)["did"]
    car = archive.client.get("com.atproto.sync.getRepo", did=did).body
    assert read_car(car) == read_car((data.CARS / f"{name}.car").read_bytes())


def test_a_record_comes_with_its_proof(archive: ReadonlyServer) -> None:
    record = data.manifest()["records"][0]
    _, _, did, collection, rkey = record["uri"].split("/")
    reply = archive.client.get(
        "com.atproto.sync.getRecord", did=did, collection=collection, rkey=rkey
    )
    (root,), blocks = read_car(reply.body)
    assert str(root) == account("alice")["latestCommit"]["cid"]
    assert record["cid"] in {str(cid) for cid in blocks}


def test_blocks_are_served_by_their_cids(archive: ReadonlyServer) -> None:
    seen = account("alice")
    cid = seen["latestCommit"]["cid"]
    _, blocks = read_car(
        archive.client.get("com.atproto.sync.getBlocks", did=seen["did"], cids=cid).body
    )
    assert [str(one) for one in blocks] == [cid]


def test_blobs_come_from_the_directory(archive: ReadonlyServer) -> None:
    seen = account("alice")
    listed = archive.client.call("com.atproto.sync.listBlobs", did=seen["did"])
    assert listed["cids"] == seen["blobs"]
    for cid in seen["blobs"]:
        reply = archive.client.get("com.atproto.sync.getBlob", did=seen["did"], cid=cid)
        assert (reply.status, reply.content_type) == (200, "image/png")
        assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_a_media_type_that_is_none_is_not_passed_on(hostile: ReadonlyServer) -> None:
    for rkey in ("line-break", "no-type"):
        cid = str(Cid.of_raw(BLOBS[rkey][0]))
        reply = hostile.client.get("com.atproto.sync.getBlob", did=DID, cid=cid)
        assert (reply.status, reply.content_type) == (200, "application/octet-stream")
        assert "x-evil" not in reply.headers


def test_a_blob_that_is_not_there_is_not_found(archive: ReadonlyServer) -> None:
    seen = account("alice")
    cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    reply = archive.client.get("com.atproto.sync.getBlob", did=seen["did"], cid=cid)
    assert (reply.status, reply.json["error"]) == (404, "BlobNotFound")


def test_the_firehose_tells_of_every_repository_and_stays_open(archive: ReadonlyServer) -> None:
    messages = asyncio.run(_history(archive.client.url, len(NAMES)))
    heads = {}
    for message in messages:
        if message.kind == "#sync":
            (root,), _ = read_car(message.body["blocks"])
            heads[message.body["did"]] = str(root)
    assert heads == {account(name)["did"]: account(name)["latestCommit"]["cid"] for name in NAMES}


def test_a_cursor_is_where_the_firehose_begins(archive: ReadonlyServer) -> None:
    messages = asyncio.run(_history(archive.client.url, len(NAMES)))
    seqs = [message.body["seq"] for message in messages]
    assert seqs == sorted(seqs)
    later = asyncio.run(_history(archive.client.url, 1, cursor=seqs[-4]))
    assert [message.body["seq"] for message in later] == seqs[-3:]


async def _history(url: str, repos: int, *, cursor: int = 0) -> list[Message]:
    """Every event behind `cursor` until so many repositories have had their `#sync`.

    After the last one the stream stays open, and nothing follows.
    """
    messages: list[Message] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"{url}/xrpc/com.atproto.sync.subscribeRepos?cursor={cursor}", max_msg_size=0
        ) as socket,
    ):
        while sum(message.kind == "#sync" for message in messages) < repos:
            messages.append(Message.parse(await socket.receive_bytes(timeout=20)))
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.1)
    return messages


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/xrpc/com.atproto.repo.createRecord"),
        ("POST", "/xrpc/com.atproto.server.createSession"),
        ("POST", "/xrpc/com.example.unknown"),
        ("GET", "/xrpc/com.atproto.server.getSession"),
        ("PUT", "/xrpc/com.atproto.sync.getRepo"),
        ("GET", "/oauth/authorize"),
        ("POST", "/oauth/token"),
        ("GET", "/.well-known/oauth-authorization-server"),
        ("GET", "/account"),
        ("DELETE", "/"),
    ],
)
def test_what_would_need_an_account_is_refused(
    archive: ReadonlyServer, method: str, path: str
) -> None:
    reply = archive.client.request(method, path)
    assert reply.status == 401
    assert reply.headers["x-request-id"]
    assert reply.json == {
        "error": "AuthenticationRequired",
        "message": "This PDS is read-only",
    }


def test_an_unknown_method_is_not_implemented(archive: ReadonlyServer) -> None:
    reply = archive.client.get("com.example.unknown")
    assert (reply.status, reply.json["error"]) == (501, "MethodNotImplemented")


def test_a_strict_server_has_verified_the_signatures(archive: ReadonlyServer) -> None:
    did = account("alice")["did"]
    car = archive.client.get("com.atproto.sync.getRepo", did=did).body
    described = archive.client.call("com.atproto.repo.describeRepo", repo=did)
    key = DidDocument(described["didDoc"]).signing_key()
    assert key is not None
    verify_export(car, did, parse_did_key(key))
    page = archive.client.request("GET", f"/repo/{did}").body.decode()
    assert "verified" in page
