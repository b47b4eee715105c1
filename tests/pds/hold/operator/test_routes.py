"""The operator's routes of a hold, over HTTP and on the files of a stopped server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from pds.config import Settings
from pds.disk.data_directory import make_directories
from pds.hold.hold import Hold
from pds.hold.records import CREW, crew_rkey
from pds.server.in_process import CallRefused, open_in_process
from tests.pds.config.test_settings import settings_with
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON, OWNER
from tests.pds.hold.pushing import join
from tests.pds.hold.registry import Registry

MEMBER: Final = "did:plc:memberaaaaaaaaaaaaaaaaaa"
ROUTE: Final = "/_holdfast/hold"


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {**HOLD_ENVIRON, "PDS_HOLD_TIERS": "deckhand=5GB,bosun=50GB"}


async def ask(pds: Pds, verb: str, path: str, json: Any = None, **params: str) -> Reply:
    return await pds.request(verb, ROUTE + path, headers=pds.admin, json=json, params=params)


async def test_only_the_operator_is_answered(pds: Pds) -> None:
    for verb, path in (("GET", ""), ("GET", "/crew"), ("PUT", f"/crew/{MEMBER}"), ("POST", "/gc")):
        assert (await pds.request(verb, ROUTE + path)).status == 401


async def test_the_status_says_what_the_hold_is(pds: Pds) -> None:
    status = (await ask(pds, "GET", "")).json
    assert status["did"] == HOLD_DID
    assert status["captain"] == {"did": OWNER, "handle": None}
    assert (status["public"], status["allowAllCrew"]) == (False, False)
    assert status["records"][CREW] == 1
    assert (status["blobs"], status["bytes"], status["uploads"]) == (0, 0, 0)
    document = (await pds.request("GET", "/.well-known/did.json")).json
    (method,) = document["verificationMethod"]
    assert status["signingKey"] == f"did:key:{method['publicKeyMultibase']}"


async def test_only_uploads_that_are_not_done_are_in_flight(pds: Pds) -> None:
    user = await join(pds)
    await user.upload("layer")
    await Registry(pds, user.hold, user.auth).begin()
    status = (await ask(pds, "GET", "")).json
    assert (status["blobs"], status["bytes"], status["uploads"]) == (1, 5, 1)


async def test_a_member_is_added_changed_and_removed(pds: Pds) -> None:
    added = (await ask(pds, "PUT", f"/crew/{MEMBER}", {})).json
    assert added["change"] == "created"
    assert added["uri"] == f"at://{HOLD_DID}/{CREW}/{crew_rkey(MEMBER)}"
    assert (added["role"], added["permissions"]) == ("member", ["blob:read", "blob:write"])

    body = {"permissions": ["crew:admin"], "tier": "bosun"}
    changed = (await ask(pds, "PUT", f"/crew/{MEMBER}", body)).json
    assert (changed["change"], changed["permissions"]) == ("updated", ["crew:admin"])
    assert (changed["role"], changed["tier"]) == ("member", "bosun")
    assert (await ask(pds, "PUT", f"/crew/{MEMBER}", {"tier": ""})).json["tier"] is None

    removed = await ask(pds, "DELETE", f"/crew/{MEMBER}")
    assert (removed.status, removed.json) == (200, {"did": MEMBER})
    assert (await ask(pds, "DELETE", f"/crew/{MEMBER}")).error == (404, "UserNotFound")


async def test_members_are_named_by_handle_as_well(pds: Pds, alice: Account) -> None:
    added = (await ask(pds, "PUT", "/crew/alice.test", {})).json
    assert (added["did"], added["handle"]) == (alice.did, "alice.test")
    assert (await ask(pds, "PUT", "/crew/nobody.test", {})).error == (404, "HandleNotFound")


async def test_a_malformed_change_is_refused_and_changes_nothing(pds: Pds) -> None:
    malformed: list[Any] = [
        [],
        {"permissions": "read"},
        {"permissions": ["read"]},
        {"permissions": [["blob:read"]]},
        {"role": 1},
        {"tier": {}},
        {"tier": "bosn"},
        {"role": "x" * 33},
    ]
    for body in malformed:
        reply = await ask(pds, "PUT", f"/crew/{MEMBER}", body)
        assert (reply.status, reply.json.get("error")) == (400, "InvalidRequest"), body
    assert [each["did"] for each in (await ask(pds, "GET", "/crew")).json["crew"]] == [OWNER]


async def test_who_is_no_did_and_no_handle_is_refused(pds: Pds) -> None:
    for member in ("x y", "did:nothing", "@", "did:plc:" + "a" * 3000):
        assert (await ask(pds, "PUT", f"/crew/{member}", {})).status == 400, member


async def test_the_captain_cannot_be_removed(pds: Pds) -> None:
    assert (await ask(pds, "DELETE", f"/crew/{OWNER}")).error == (400, "InvalidRequest")


async def test_the_crew_is_paged(pds: Pds) -> None:
    members = {OWNER}
    for number in range(4):
        did = f"did:plc:member{number}aaaaaaaaaaaaaaaaa"
        members.add(did)
        await ask(pds, "PUT", f"/crew/{did}", {})
    listed: list[str] = []
    query = {"limit": "2"}
    while True:
        page = (await ask(pds, "GET", "/crew", **query)).json
        listed += [each["did"] for each in page["crew"]]
        if "cursor" not in page:
            break
        assert len(page["crew"]) == 2
        query["cursor"] = page["cursor"]
    assert len(listed) == 5
    assert set(listed) == members


async def test_stats_are_listed_with_what_is_in_no_record_yet(pds: Pds, hold: Hold) -> None:
    for name in ("one", "two", "three"):
        hold.stats.count_pull(MEMBER, name)
    hold.stats.count_push("did:plc:otheraaaaaaaaaaaaaaaaaaa", "one")
    await hold.stats.write_journal()
    first = (await ask(pds, "GET", "/stats", limit="3")).json
    rest = (await ask(pds, "GET", "/stats", limit="3", cursor=first["cursor"])).json
    assert [each["repository"] for each in first["stats"]] == ["one", "three", "two"]
    assert [each["pushCount"] for each in rest["stats"]] == [1]
    assert "cursor" not in rest
    of_member = (await ask(pds, "GET", "/stats", owner=MEMBER, limit="2")).json
    assert [each["repository"] for each in of_member["stats"]] == ["one", "three"]
    assert of_member["stats"][0]["pullCount"] == 1
    assert (await ask(pds, "GET", "")).json["pending"] == {"pulls": 3, "pushes": 1}


async def test_garbage_is_looked_for_page_by_page(pds: Pds) -> None:
    page: dict[str, Any] = {"cursor": None}
    pages = 0
    while "cursor" in page:
        reply = await ask(pds, "POST", "/gc", {"delete": True, "cursor": page["cursor"]})
        assert reply.status == 200
        page, pages = reply.json, pages + 1
    assert pages > 1
    assert (page["counts"]["garbageBytes"], page["counts"]["deleted"]) == (0, 0)
    malformed: tuple[Any, ...] = ({"delete": "yes"}, {"cursor": "nowhere"}, {"cursor": 1}, [])
    for body in malformed:
        assert (await ask(pds, "POST", "/gc", body)).error == (400, "InvalidRequest")


@pytest.fixture
def stopped(tmp_path: Path) -> Settings:
    """The settings of a hold that has never run."""
    settings = settings_with(
        PDS_DATA_DIRECTORY=str(tmp_path / "stopped"),
        PDS_BLOBSTORE_DISK_LOCATION=str(tmp_path / "stopped" / "blobs"),
        **HOLD_ENVIRON,
    )
    make_directories(settings)
    return settings


async def test_a_stopped_hold_answers_from_its_files(stopped: Settings) -> None:
    names = {"member": MEMBER}
    async with open_in_process(stopped) as server:
        made = await server.ask("PUT", ROUTE + "/crew/{member}", names=names, body={})
        assert made["change"] == "created"
    async with open_in_process(stopped) as server:
        status = await server.ask("GET", ROUTE)
        assert status["records"][CREW] == 2
        with pytest.raises(CallRefused, match="is the captain, who stays"):
            await server.ask("DELETE", ROUTE + "/crew/{member}", names={"member": OWNER})


async def test_other_commands_make_no_hold(stopped: Settings) -> None:
    async with open_in_process(stopped) as server:
        await server.ask("GET", "/_holdfast/usage")
    assert not stopped.hold_db_path.exists()
