"""Repositories of the reference: every record, blob, head and export, to the byte."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pds.conftest import Pds
from tests.pds.swap_in.conftest import ReferenceData
from tests.reference import data
from tests.repo.values import to_json

each_active = pytest.mark.parametrize("name", data.ACTIVE)
each_hidden = pytest.mark.parametrize(
    ("name", "error"),
    [(data.TAKEN_DOWN, "RepoTakendown"), (data.DEACTIVATED, "RepoDeactivated")],
)


@pytest.mark.parametrize("name", data.NAMES)
async def test_status_and_head_are_what_they_were(pds: Pds, manifest: Any, name: str) -> None:
    expected = manifest["accounts"][name]
    status = await pds.get("com.atproto.sync.getRepoStatus", did=expected["did"])
    assert status.json == expected["repoStatus"]
    head = await pds.get("com.atproto.sync.getLatestCommit", did=expected["did"])
    assert head.json == expected["latestCommit"]


@each_active
async def test_exports_are_the_same_bytes(pds: Pds, manifest: Any, name: str) -> None:
    reply = await pds.get("com.atproto.sync.getRepo", did=manifest["accounts"][name]["did"])
    assert reply.body == (data.CARS / f"{name}.car").read_bytes()


@each_active
async def test_every_record_is_listed_with_its_value(
    pds: Pds, manifest: Any, stored: ReferenceData, name: str
) -> None:
    expected = manifest["accounts"][name]
    did = expected["did"]
    described = (await pds.get("com.atproto.repo.describeRepo", repo=did)).json
    assert described["handle"] == expected["handle"]
    assert described["collections"] == expected["collections"]
    listed: list[Any] = []
    for collection in described["collections"]:
        page: dict[str, str] = {}
        while True:
            params = {"repo": did, "collection": collection, "limit": 100, **page}
            reply = (await pds.get("com.atproto.repo.listRecords", **params)).json
            listed += reply["records"]
            if "cursor" not in reply:
                break
            page = {"cursor": reply["cursor"]}
    wanted = [
        {
            "uri": f"at://{did}/{record.collection}/{record.rkey}",
            "cid": record.cid,
            "value": to_json(record.value),
        }
        for record in stored.records(did)
    ]
    assert sorted(listed, key=uri_of) == sorted(wanted, key=uri_of)


def uri_of(record: Any) -> str:
    return str(record["uri"])


async def test_records_are_answered_as_the_reference_answered_them(pds: Pds, manifest: Any) -> None:
    for expected in manifest["records"]:
        reply = await get_record(pds, expected["uri"])
        assert reply.json == expected
    assert (await get_record(pds, manifest["deleted"])).error == (400, "RecordNotFound")


async def get_record(pds: Pds, uri: str) -> Any:
    did, collection, rkey = uri.removeprefix("at://").split("/")
    return await pds.get("com.atproto.repo.getRecord", repo=did, collection=collection, rkey=rkey)


@each_active
async def test_blobs_are_the_same_bytes(
    pds: Pds, manifest: Any, stored: ReferenceData, name: str
) -> None:
    expected = manifest["accounts"][name]
    did = expected["did"]
    listed = (await pds.get("com.atproto.sync.listBlobs", did=did)).json["cids"]
    assert listed == expected["blobs"]
    files = stored.blobs(did)
    assert files.keys() == set(listed)
    for cid, content in files.items():
        reply = await pds.get("com.atproto.sync.getBlob", did=did, cid=cid)
        assert (reply.body, reply.headers["Content-Type"]) == (content, "image/png")


@each_hidden
async def test_what_was_hidden_stays_hidden(pds: Pds, manifest: Any, name: str, error: str) -> None:
    did = manifest["accounts"][name]["did"]
    for method in ("getRepo", "getLatestCommit", "listBlobs"):
        assert (await pds.get(f"com.atproto.sync.{method}", did=did)).error == (400, error)
    assert (await pds.get("com.atproto.repo.describeRepo", repo=did)).error == (400, error)


async def test_all_repositories_are_listed_oldest_first(pds: Pds, manifest: Any) -> None:
    reply = await pds.get("com.atproto.sync.listRepos", limit=100)
    accounts = [manifest["accounts"][name] for name in data.NAMES]
    repos = reply.json["repos"]
    assert [repo["did"] for repo in repos] == [account["did"] for account in accounts]
    for repo, account in zip(repos, accounts, strict=True):
        status = account["repoStatus"]
        assert (repo["active"], repo.get("status")) == (status["active"], status.get("status"))
        if repo["active"]:
            assert repo["head"] == account["latestCommit"]["cid"]
            assert repo["rev"] == account["latestCommit"]["rev"]
