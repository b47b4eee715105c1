"""com.atproto.admin.sendEmail, and com.atproto.identity.requestPlcOperationSignature."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.pds.api.mailbox import PLC_OPERATION, Mailbox, login, settings_of
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds, Reply, basic_auth, start_pds
from tests.pds.identities import register_foreign_did
from tests.pds.mail.smtp_server import MailServer

SEND = "com.atproto.admin.sendEmail"
MODERATOR = "did:web:mod.example.com"


@pytest.fixture
def pds_environ(smtp: MailServer) -> dict[str, str]:
    return settings_of(f"smtp://{smtp.address}", moderation=True)


async def send(pds: Pds, did: str, headers: Any = None, **fields: Any) -> Reply:
    body = {
        "recipientDid": did,
        "senderDid": MODERATOR,
        "content": "<p>Please read <a href='https://rules.example'>our rules</a>.</p>",
        **fields,
    }
    return await pds.post(SEND, body, pds.admin if headers is None else headers)


async def test_a_moderator_s_mail_is_sent_as_it_is_with_a_text_beside_it(
    pds: Pds, smtp: MailServer, alice: Account
) -> None:
    reply = await send(pds, alice.did, subject="Your post", comment="for the record")
    assert (reply.status, reply.json) == (200, {"sent": True})
    (mail,) = smtp.mails
    assert (mail.sender, mail.recipients) == ("mod@pds.example.com", [alice.email])
    assert mail.message["From"] == "Moderators <mod@pds.example.com>"
    assert mail.message["Subject"] == "Your post"
    assert mail.body("plain") == "Please read our rules [https://rules.example].\n"
    assert mail.body("html").rstrip() == (
        "<p>Please read <a href='https://rules.example'>our rules</a>.</p>"
    )
    assert "for the record" not in str(mail.message)


async def test_a_mail_without_a_subject_gets_the_reference_s(
    pds: Pds, smtp: MailServer, alice: Account
) -> None:
    assert (await send(pds, alice.did)).status == 200
    assert smtp.mails[0].message["Subject"] == "Message via your PDS"


@pytest.mark.parametrize("state", ["takendown", "deactivated"])
async def test_an_account_in_any_state_can_be_written_to(
    pds: Pds, smtp: MailServer, alice: Account, state: str
) -> None:
    await make_inactive(pds, alice, state)
    assert (await send(pds, alice.did)).status == 200
    assert len(smtp.mails) == 1


async def test_a_subject_adds_no_header_and_has_an_end(
    pds: Pds, smtp: MailServer, alice: Account
) -> None:
    subject = "Hello\r\nBcc: eve@example.com\r\n\r\nbody\u2028x"
    assert (await send(pds, alice.did, subject=subject)).status == 200
    (mail,) = smtp.mails
    assert mail.recipients == [alice.email]
    assert mail.message["Subject"] == "Hello Bcc: eve@example.com body x"
    assert mail.message["Bcc"] is None
    reply = await send(pds, alice.did, subject="x" * 501)
    assert reply.error == (400, "InvalidRequest")
    assert "500 characters" in reply.json["message"]


async def test_who_cannot_be_written_to_is_told(pds: Pds, smtp: MailServer) -> None:
    reply = await send(pds, "did:plc:" + "a" * 24)
    assert reply.json == {"error": "InvalidRequest", "message": "Recipient not found"}
    body = {"handle": "dana.test", "email": "dana@example.com"}
    made = await pds.post("com.atproto.server.createAccount", body)
    reply = await send(pds, made.json["did"])
    assert reply.json == {
        "error": "InvalidRequest",
        "message": "account does not have an email address",
    }
    assert smtp.mails == []


async def test_only_moderators_send(pds: Pds, smtp: MailServer, alice: Account) -> None:
    for headers in ({}, alice.auth, basic_auth("admin", "wrong")):
        assert (await send(pds, alice.did, headers)).status == 401
    assert smtp.mails == []


async def test_the_moderation_service_sends_with_a_token_of_its_own(
    pds: Pds, smtp: MailServer, alice: Account
) -> None:
    service = register_foreign_did(pds)
    pds.ctx.service_auth._moderator_did = service.did
    assert (await send(pds, alice.did, service.auth(pds, SEND))).status == 200
    assert len(smtp.mails) == 1


async def test_without_a_server_for_it_the_mail_is_in_the_log(
    smtp: MailServer, tmp_path: Path
) -> None:
    """As in the reference: the server of the other mails does not stand in."""
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, settings_of(f"smtp://{smtp.address}"))
        alice = await pds.create_account("alice")
        with capture_logs() as logs:
            assert (await send(pds, alice.did)).json == {"sent": True}
    assert smtp.mails == []
    assert "our rules" in next(line["text"] for line in logs if line["event"] == "mail")


# --- com.atproto.identity.requestPlcOperationSignature


async def test_leave_for_a_plc_operation_is_asked_for_by_mail(
    pds_with_mail: dict[str, str], mailbox: Mailbox, pds: Pds, alice: Account
) -> None:
    did = pds.ctx.accounts.get_account(alice.did).did
    token = await mailbox.token(PLC_OPERATION, alice)
    stored = pds.ctx.accounts.db.value(
        "SELECT token FROM email_token WHERE did = ? AND purpose = 'plc_operation'", (did,)
    )
    assert stored == token


@pytest.mark.parametrize("state", ["takendown", "deactivated"])
async def test_who_was_taken_down_may_ask_for_it_too(
    pds_with_mail: dict[str, str], mailbox: Mailbox, pds: Pds, alice: Account, state: str
) -> None:
    await make_inactive(pds, alice, state)
    body = {"identifier": alice.did, "password": alice.password, "allowTakendown": True}
    session = await pds.post("com.atproto.server.createSession", body)
    auth = {"Authorization": f"Bearer {session.json['accessJwt']}"}
    assert (await pds.post(PLC_OPERATION, headers=auth)).status == 200
    assert len(mailbox.server.mails) == 1


async def test_others_may_not_ask_for_it(
    pds_with_mail: dict[str, str], mailbox: Mailbox, pds: Pds, alice: Account, bob: Account
) -> None:
    app = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, alice.auth)
    session = await login(pds, alice, app.json["password"])
    auth = {"Authorization": f"Bearer {session.json['accessJwt']}"}
    assert (await pds.post(PLC_OPERATION, headers=auth)).error == (400, "InvalidToken")
    assert (await pds.post(PLC_OPERATION)).error == (401, "AuthMissing")
    await pds.ctx.accounts.delete_account(pds.ctx.accounts.get_account(bob.did).did)
    reply = await pds.post(PLC_OPERATION, headers=bob.auth)
    assert reply.json == {"error": "InvalidRequest", "message": "account not found"}
    assert mailbox.server.mails == []
