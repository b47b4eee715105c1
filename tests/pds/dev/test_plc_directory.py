from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from identity.did_cache import DidCache
from identity.http import FetchedResponse, SafeHttp
from identity.plc import PlcClient, PlcError
from identity.plc_log import RECOVERY_WINDOW_MS, validate_log
from identity.plc_operation import PlcOperation
from identity.resolver import DidNotFound, DidResolver
from pds.dev.plc_directory import plc_application
from pds.dev.plc_store import PlcStore
from repo.cid import Cid
from repo.syntax import Did
from tests.identity.plc_samples import (
    RECOVERY_KEY,
    SERVER_KEY,
    SIGNING_KEY,
    STRANGERS_KEY,
    plc_data,
)
from tests.identity.test_plc_operation import LEGACY_CREATE

_UNKNOWN = Did("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")


class Directory:
    """A running directory, a client of it, and its clock."""

    def __init__(self, path: Path) -> None:
        self.now_ms = 1_700_000_000_000
        self.path = path
        self.http = SafeHttp(timeout_ms=5_000)

    async def start(self, *, rate_limits: bool = False) -> None:
        self.store = PlcStore(self.path, now_ms=lambda: self.now_ms, rate_limits=rate_limits)
        self.server = TestServer(plc_application(self.store))
        await self.server.start_server()
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.client = PlcClient(self.url, self.http)

    async def stop(self) -> None:
        await self.server.close()
        await self.http.close()
        self.store.close()

    async def get(self, path: str) -> FetchedResponse:
        return await self.http.get(f"{self.url}/{path}", trusted=True)

    async def post(self, did: str, body: object) -> FetchedResponse:
        return await self.http.post_json(f"{self.url}/{did}", body, trusted=True)

    async def create(self, handle: str = "alice.test") -> Did:
        operation = PlcOperation.sign(plc_data(handle), prev=None, key=SERVER_KEY)
        await self.client.send(did := operation.did(), operation)
        return did


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Directory]:
    directory = Directory(tmp_path / "plc.sqlite")
    await directory.start()
    yield directory
    await directory.stop()


def _message(response: FetchedResponse) -> str:
    return str(response.json()["message"])


async def test_a_created_did_resolves(directory: Directory) -> None:
    did = await directory.create()
    response = await directory.get(did)
    assert response.headers["Content-Type"] == "application/did+ld+json; charset=utf-8"
    assert response.json() == {
        "@context": [
            "https://www.w3.org/ns/did/v1",
            "https://w3id.org/security/multikey/v1",
            "https://w3id.org/security/suites/secp256k1-2019/v1",
        ],
        "id": did,
        "alsoKnownAs": ["at://alice.test"],
        "verificationMethod": [
            {
                "id": f"{did}#atproto",
                "type": "Multikey",
                "controller": did,
                "publicKeyMultibase": SIGNING_KEY.public.multibase,
            }
        ],
        "service": [
            {
                "id": "#atproto_pds",
                "type": "AtprotoPersonalDataServer",
                "serviceEndpoint": "https://pds.example.com",
            }
        ],
    }


async def test_data_log_and_last_show_the_current_state(directory: Directory) -> None:
    did = await directory.create()
    await directory.client.update_handle(did, "bob.test", key=SERVER_KEY)
    assert await directory.client.data(did) == plc_data("bob.test")
    assert (await directory.get(f"{did}/data")).json() == {
        "did": did,
        **plc_data("bob.test").to_json(),
    }
    log = (await directory.get(f"{did}/log")).json()
    assert [op["alsoKnownAs"] for op in log] == [["at://alice.test"], ["at://bob.test"]]
    last = await directory.client.last_op(did)
    assert last.to_json() == log[-1]
    assert last.prev == PlcOperation.parse(log[0]).cid


async def test_accepting_answers_ok_in_plain_text(directory: Directory) -> None:
    operation = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    response = await directory.post(operation.did(), operation.to_json())
    assert (response.status, response.text()) == (200, "OK")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_operations_of_the_older_format_are_accepted(directory: Directory) -> None:
    operation = PlcOperation.parse(LEGACY_CREATE)
    assert (await directory.post(operation.did(), LEGACY_CREATE)).status == 200
    assert (await directory.get(f"{operation.did()}/log/last")).json() == LEGACY_CREATE
    document = (await directory.get(operation.did())).json()
    assert document["alsoKnownAs"] == ["at://first-post.bsky.social"]


@pytest.mark.parametrize("path", ["", "/data", "/log", "/log/last", "/log/audit"])
async def test_unknown_dids_are_not_registered(directory: Directory, path: str) -> None:
    for did in (_UNKNOWN, "did:web:example.com", "foo"):
        response = await directory.get(did + path)
        assert response.status == 404
        assert _message(response) == f"DID not registered: {did}"


async def test_a_tombstoned_did_is_not_available_but_keeps_its_log(directory: Directory) -> None:
    did = await directory.create()
    await directory.client.tombstone(did, key=SERVER_KEY)
    for path in ("", "/data"):
        response = await directory.get(did + path)
        assert (response.status, _message(response)) == (404, f"DID not available: {did}")
    assert (await directory.client.last_op(did)).type == "plc_tombstone"
    assert len((await directory.get(f"{did}/log")).json()) == 2
    with pytest.raises(PlcError, match="tombstoned"):
        await directory.client.update_handle(did, "bob.test", key=SERVER_KEY)
    cid = (await directory.client.last_op(did)).cid
    after = PlcOperation.sign(plc_data(), prev=cid, key=RECOVERY_KEY)
    response = await directory.post(did, after.to_json())
    assert (response.status, _message(response)) == (400, "Operations not correctly ordered")


async def test_forgeries_are_refused_and_leave_no_trace(directory: Directory) -> None:
    did = await directory.create()
    last = await directory.client.last_op(did)
    good = PlcOperation.sign(plc_data("bob.test"), prev=last.cid, key=SERVER_KEY).to_json()
    by_stranger = PlcOperation.sign(plc_data("eve.test"), prev=last.cid, key=STRANGERS_KEY)
    by_signing_key = PlcOperation.sign(plc_data("eve.test"), prev=last.cid, key=SIGNING_KEY)
    forgeries: list[tuple[dict[str, Any], str]] = [
        (by_stranger.to_json(), "Invalid signature"),
        (by_signing_key.to_json(), "Invalid signature"),
        ({**good, "alsoKnownAs": ["at://eve.test"]}, "Invalid signature"),
        ({**good, "sig": last.sig}, "Invalid signature"),
        ({**good, "sig": good["sig"] + "=="}, "Invalid signature"),
        ({**good, "prev": str(Cid.of_dag_cbor(b""))}, "not correctly ordered"),
        ({**good, "prev": None}, "not correctly ordered"),
        (last.to_json(), "not correctly ordered"),
        ({**good, "rotationKeys": []}, "at least one rotation key"),
        ({**good, "alsoKnownAs": ["at://" + "a" * 5_000]}, "too large"),
    ]
    for forgery, reason in forgeries:
        response = await directory.post(did, forgery)
        assert response.status == 400
        assert reason in _message(response)
    assert await directory.client.last_op(did) == last
    assert (await directory.post(did, good)).status == 200


async def test_a_first_operation_creates_only_its_own_did(directory: Directory) -> None:
    operation = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    response = await directory.post(_UNKNOWN, operation.to_json())
    assert response.status == 400
    assert _message(response) == (
        f"Hash of genesis operation does not match DID identifier: {operation.did()}"
    )
    for did in ("did:plc:short", "did:web:example.com"):
        response = await directory.post(did, operation.to_json())
        assert _message(response) == f"Improperly formatted did: {did}"


@pytest.mark.parametrize("body", [[], {}, "text", None, 5, {"type": "plc_operation"}])
async def test_what_is_no_operation_is_refused(directory: Directory, body: object) -> None:
    response = await directory.post(_UNKNOWN, body)
    assert response.status == 400
    assert _message(response).startswith("Not a valid operation")


async def test_bodies_are_json_and_bounded(directory: Directory) -> None:
    url = f"{directory.url}/{_UNKNOWN}"
    garbage = await directory.http.request("POST", url, body=b"{nope", trusted=True)
    assert (garbage.status, _message(garbage)) == (400, "Not a valid operation: not JSON")
    huge = await directory.http.request("POST", url, body=b" " * 200_000, trusted=True)
    assert huge.status == 413
    assert "message" in huge.json()


async def test_recovery_overrules_operations_of_weaker_keys(directory: Directory) -> None:
    did = await directory.create()
    genesis = await directory.client.last_op(did)
    theft = [
        await directory.client.update(did, lambda _: plc_data("eve.test"), key=SERVER_KEY)
        for _ in range(2)
    ]
    recovery = PlcOperation.sign(plc_data("alice.test"), prev=genesis.cid, key=RECOVERY_KEY)
    directory.now_ms += RECOVERY_WINDOW_MS - 10
    await directory.client.send(did, recovery)
    assert (await directory.get(f"{did}/log")).json() == [genesis.to_json(), recovery.to_json()]
    audit = await directory.client.audit_log(did)
    assert [entry.cid for entry in audit if entry.nullified] == [op.cid for op in theft]
    assert validate_log(did, audit) == recovery
    late = PlcOperation.sign(plc_data("late.test"), prev=theft[0].cid, key=RECOVERY_KEY)
    assert (await directory.post(did, late.to_json())).status == 400


async def test_recovery_is_refused_after_72_hours(directory: Directory) -> None:
    did = await directory.create()
    genesis = await directory.client.last_op(did)
    await directory.client.update_handle(did, "eve.test", key=SERVER_KEY)
    recovery = PlcOperation.sign(plc_data(), prev=genesis.cid, key=RECOVERY_KEY)
    directory.now_ms += RECOVERY_WINDOW_MS + 10
    response = await directory.post(did, recovery.to_json())
    assert response.status == 400
    assert "72 hr" in _message(response)
    assert (await directory.client.data(did)).also_known_as == ("at://eve.test",)


async def test_audit_entries_have_times_and_cids(directory: Directory) -> None:
    did = await directory.create()
    (entry,) = (await directory.get(f"{did}/log/audit")).json()
    assert set(entry) == {"did", "operation", "cid", "nullified", "createdAt"}
    assert entry["createdAt"] == "2023-11-14T22:13:20.000Z"
    assert entry["cid"] == str(PlcOperation.parse(entry["operation"]).cid)


async def test_export_pages_by_time_without_losing_anything(directory: Directory) -> None:
    # The clock stands still: times must differ all the same.
    dids = [await directory.create(f"n{n}.test") for n in range(5)]
    seen: list[str] = []
    after = ""
    while lines := (await directory.get(f"export?count=2&after={after}")).text().splitlines():
        entries = [json.loads(line) for line in lines]
        assert set(entries[0]) == {"did", "operation", "cid", "nullified", "createdAt"}
        seen += [entry["did"] for entry in entries]
        after = entries[-1]["createdAt"]
    assert seen == dids


async def test_export_pages_by_sequence_number(directory: Directory) -> None:
    dids = [await directory.create(f"n{n}.test") for n in range(3)]
    response = await directory.get("export?count=2&after=0")
    assert response.headers["Content-Type"].startswith("application/jsonlines")
    lines = [json.loads(line) for line in response.text().splitlines()]
    assert [line["did"] for line in lines] == dids[:2]
    assert set(lines[0]) == {"type", "did", "operation", "cid", "createdAt", "seq"}
    assert lines[0]["type"] == "indexed_op"
    rest = await directory.get(f"export?after={lines[-1]['seq']}")
    assert json.loads(rest.text())["did"] == dids[2]
    assert (await directory.get("export?after=99")).text() == ""


@pytest.mark.parametrize("query", ["count=0", "count=1001", "count=x", "count=-1", "after=soon"])
async def test_bad_export_parameters_are_refused(directory: Directory, query: str) -> None:
    response = await directory.get(f"export?{query}")
    assert response.status == 400
    assert "message" in response.json()


async def test_health_names_a_version(directory: Directory) -> None:
    assert "version" in (await directory.get("_health")).json()


async def test_unknown_paths_and_methods_are_json_errors(directory: Directory) -> None:
    assert (await directory.get("a/b/c/d")).status == 404
    response = await directory.http.request("PUT", f"{directory.url}/foo", trusted=True)
    assert response.status == 405
    assert "message" in response.json()


async def test_operations_survive_a_restart(directory: Directory) -> None:
    did = await directory.create()
    await directory.stop()
    await directory.start()
    assert await directory.client.data(did) == plc_data()
    await directory.client.update_handle(did, "bob.test", key=SERVER_KEY)
    assert validate_log(did, await directory.client.audit_log(did)).data == plc_data("bob.test")


async def test_rate_limits_are_the_public_directory_s_when_asked_for(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "plc.sqlite")
    await directory.start(rate_limits=True)
    did = await directory.create()
    for n in range(9):
        await directory.client.update_handle(did, f"n{n}.test", key=SERVER_KEY)
    with pytest.raises(PlcError, match="within last hour"):
        await directory.client.update_handle(did, "one-more.test", key=SERVER_KEY)
    directory.now_ms += 3_600_000
    await directory.client.update_handle(did, "one-more.test", key=SERVER_KEY)
    await directory.stop()


async def test_the_resolver_follows_the_directory(directory: Directory, tmp_path: Path) -> None:
    cache = DidCache.open(tmp_path / "did_cache.sqlite")
    resolver = DidResolver(cache, directory.http, plc_url=directory.url)
    did = await directory.create()
    document = await resolver.resolve(did)
    assert document.handle == "alice.test"
    assert document.signing_key() == SIGNING_KEY.did_key
    assert document.pds_endpoint == "https://pds.example.com"
    await directory.client.tombstone(did, key=SERVER_KEY)
    with pytest.raises(DidNotFound):
        await resolver.resolve(did, force=True)
    cache.close()
