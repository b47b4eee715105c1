"""An operator's calls in this process: the handlers of the server, without HTTP."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from identity.plc import PlcError
from pds.disk.data_directory import make_directories
from pds.server.in_process import CallRefused, InProcessServer, open_in_process
from tests.pds.config.test_settings import settings_with
from tests.pds.conftest import Account, Pds, start_pds
from tests.pds.relays import Relay

ADMIN = "com.atproto.admin"
SUBJECT = f"{ADMIN}.updateSubjectStatus"
REPO = f"{ADMIN}.defs#repoRef"
UNKNOWN = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.mark.parametrize(
    ("nsid", "body"),
    [
        (f"{ADMIN}.updateAccountHandle", {"did": "ALICE", "handle": "bob.test"}),
        (f"{ADMIN}.updateAccountHandle", {"did": "ALICE", "handle": "ab.test"}),
        (f"{ADMIN}.updateAccountHandle", {"did": "ALICE", "handle": "not a handle"}),
        (f"{ADMIN}.updateAccountEmail", {"account": "ALICE", "email": "bob@example.com"}),
        (f"{ADMIN}.updateAccountEmail", {"account": "nobody.test", "email": "a@example.com"}),
        (f"{ADMIN}.updateAccountPassword", {"did": "ALICE", "password": ""}),
        (SUBJECT, {"subject": {"$type": REPO, "did": UNKNOWN}, "takedown": {"applied": True}}),
        (SUBJECT, {"subject": {"$type": "com.example.other"}, "takedown": {"applied": True}}),
        ("com.atproto.server.createInviteCodes", {"useCount": "many"}),
    ],
)
async def test_a_refusal_reads_as_over_http(
    pds: Pds, alice: Account, bob: Account, nsid: str, body: dict[str, Any]
) -> None:
    given = {name: alice.did if value == "ALICE" else value for name, value in body.items()}
    reply = await pds.post(nsid, given, pds.admin)
    assert reply.status == 400
    with pytest.raises(CallRefused) as refused:
        await InProcessServer(pds.ctx).call(nsid, given)
    assert str(refused.value) == reply.json["message"]


async def test_a_route_for_the_operator_answers_as_over_http(pds: Pds, alice: Account) -> None:
    server = InProcessServer(pds.ctx)
    names = {"account": alice.did}
    told = await server.ask("GET", "/_holdfast/usage/{account}", names=names)
    path = f"/_holdfast/usage/{alice.did}"
    assert told == (await pds.request("GET", path, headers=pds.admin)).json
    with pytest.raises(CallRefused, match="limit must be a number from 1 to 100"):
        await server.ask("GET", "/_holdfast/usage", query={"limit": "0"})
    with pytest.raises(CallRefused, match="There is no account nobody"):
        await server.ask("GET", "/_holdfast/usage/{account}", names={"account": "nobody.test"})


async def test_the_operator_is_told_which_file_is_damaged(pds: Pds, alice: Account) -> None:
    made = await pds.post_text(alice)
    store = pds.ctx.actor_store.layout.store(alice.did)
    await pds.ctx.actor_store.close()
    store.write_bytes(b"This is not a database. " * 1000)
    subject = {"$type": "com.atproto.repo.strongRef", "uri": made["uri"], "cid": made["cid"]}
    body = {"subject": subject, "takedown": {"applied": True}}
    with pytest.raises(Exception, match=re.escape(str(store))):
        await InProcessServer(pds.ctx).call(SUBJECT, body)


async def test_what_is_no_refusal_is_raised_as_it_is(pds: Pds, alice: Account) -> None:
    server = InProcessServer(pds.ctx)
    with pytest.raises(LookupError):
        await server.call("com.example.unknown", {})
    pds.ctx.plc.url = "http://127.0.0.1:1"
    with pytest.raises(PlcError):
        await server.call(
            f"{ADMIN}.updateAccountHandle", {"did": alice.did, "handle": "alicia.test"}
        )


async def test_an_account_needs_no_invite_code_of_the_operator(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, {"PDS_INVITE_REQUIRED": "true"})
        body = {"handle": "made.test", "email": "made@example.com", "password": "its-password"}
        assert (await pds.post("com.atproto.server.createAccount", body)).error == (
            400,
            "InvalidInviteCode",
        )
        made = await InProcessServer(pds.ctx).create_account(body)
        account = pds.ctx.accounts.find_account(made["did"])
        assert account is not None
        assert account.handle == "made.test"
        assert pds.ctx.accounts.db.value("SELECT count(*) FROM invite_code") == 0


async def test_relays_hear_of_nothing_that_is_done_without_a_server(
    pds: Pds, alice: Account, tmp_path: Path
) -> None:
    await pds.ctx.close()
    async with Relay() as relay:
        settings = settings_with(
            PDS_DATA_DIRECTORY=str(tmp_path),
            PDS_BLOBSTORE_DISK_LOCATION=str(tmp_path / "blobs"),
            PDS_CRAWLERS=relay.url,
        )
        make_directories(settings)
        async with open_in_process(settings) as server:
            subject = {"$type": REPO, "did": alice.did}
            await server.call(SUBJECT, {"subject": subject, "deactivated": {"applied": True}})
        assert relay.asked.empty()
