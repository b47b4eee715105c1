"""The rest of the server behind an entryway: restarts, doctor, moderators."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pds.doctor.identities import Expected
from pds.doctor.surroundings import _check
from pds.lifecycle.changes import MOVED
from pds.pending.journal import Entry
from pds.reporting import no_progress
from tests.entryway import DID, Entryway, Refused, answering
from tests.pds.conftest import Account, Pds, start_pds

CREATE = "com.atproto.server.createAccount"


async def test_an_account_that_a_crash_has_cut_off_can_be_brought_again(
    tmp_path: Path, running_entryway: Entryway
) -> None:
    """The process ends behind the PLC directory and before the account's rows."""
    entryway = running_entryway
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, entryway.environ)
        entryway.belongs_to(pds.url, pds.ctx.settings)
        name = await entryway.reserve_key()
        operation = entryway.genesis("alice.test", name)
        did, key = operation.did(), pds.ctx.actor_store.keys.find_reserved(name)
        assert key is not None
        await pds.ctx.unfinished.journal.add(Entry("create", did, MOVED))
        await pds.ctx.actor_store.create(did, key, lambda actor: actor.create_repo())
        pds.plc.append(did, operation)
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, entryway.environ)
        assert not pds.ctx.actor_store.exists(did)
        # The DID is the entryway's: it is not withdrawn.
        assert pds.plc.find_last(did) == operation
        body = {"did": did, "handle": "alice.test", "plcOp": operation.to_json()}
        assert (await pds.post(CREATE, body)).status == 200


async def test_doctor_asks_the_entryway_and_wants_its_rotation_key(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    settings = pds.ctx.settings
    expected = Expected(alice.did, alice.handle, entryway.logins[alice.did].signing_key)
    for answer, status in ((None, "ok"), (answering(status=503), "error")):
        entryway.answer = answer
        findings = await _check(settings, [expected], everyone=True, progress=no_progress)
        told = {finding.check: finding.status for finding in findings}
        assert told["entryway"] == status
        assert told["identity"] == "ok"


@pytest.mark.parametrize("audience", [DID, None])
async def test_no_app_password_of_the_moderation_service_makes_a_moderator(
    pds: Pds,
    entryway: Entryway,
    alice: Account,
    audience: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tokens for the entryway open this server as well, so neither audience may be had."""
    monkeypatch.setattr(pds.ctx.service_auth, "_moderator_did", alice.did)
    lxm, aud = "com.atproto.admin.getAccountInfo", audience or pds.ctx.settings.service_did
    app = {"Authorization": f"Bearer {entryway.access(alice.did, 'com.atproto.appPass')}"}
    params = {"aud": aud, "lxm": lxm}
    refused = await pds.get("com.atproto.server.getServiceAuth", app, **params)
    assert refused.error == (400, "InvalidRequest")
    token = (await pds.get("com.atproto.server.getServiceAuth", alice.auth, **params)).json["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await pds.get(lxm, headers, did=alice.did)).status == 200


async def test_a_failed_sign_up_tells_the_entryway_why(pds: Pds, entryway: Entryway) -> None:
    await entryway.sign_up("alice.test", "pw")
    with pytest.raises(Refused) as caught:
        await entryway.sign_up("alice.test", "pw")
    assert (caught.value.status, caught.value.json["error"]) == (400, "InvalidRequest")
