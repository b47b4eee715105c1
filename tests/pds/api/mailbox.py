"""Where the mails of a test's server arrive: asking for tokens, reading them, letting them age."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from tests.pds.conftest import Account, Pds, Reply
from tests.pds.mail.smtp_server import MailServer, Received

CONFIRMATION = "com.atproto.server.requestEmailConfirmation"
UPDATE = "com.atproto.server.requestEmailUpdate"
RESET = "com.atproto.server.requestPasswordReset"
DELETION = "com.atproto.server.requestAccountDelete"
PLC_OPERATION = "com.atproto.identity.requestPlcOperationSignature"

ASKING = {
    CONFIRMATION: "Email Confirmation",
    UPDATE: "Email Update Requested",
    RESET: "Password Reset Requested",
    DELETION: "Account Deletion Requested",
    PLC_OPERATION: "PLC Update Operation Requested",
}
"""The methods that send a token, and the subjects of their mails."""

WRONG_TOKEN = "AAAAA-AAAAA"
LIFETIME_S = 15 * 60


@dataclass(slots=True)
class Mailbox:
    """The mails of everybody."""

    pds: Pds
    server: MailServer

    async def ask(self, nsid: str, account: Account) -> Reply:
        """Ask for a token, as the account does."""
        if nsid == RESET:
            return await self.pds.post(nsid, {"email": account.email})
        return await self.pds.post(nsid, headers=account.auth)

    async def token(self, nsid: str, account: Account) -> str:
        """Ask for a token and read it in the mail that comes."""
        before = len(self.server.mails)
        reply = await self.ask(nsid, account)
        assert reply.status == 200, reply.body
        (mail,) = self.server.mails[before:]
        assert (mail.recipients, mail.message["Subject"]) == ([account.email], ASKING[nsid])
        return token_in(mail)

    async def confirm(self, account: Account) -> None:
        """Confirm the account's address."""
        token = await self.token(CONFIRMATION, account)
        body = {"email": account.email, "token": token}
        reply = await self.pds.post("com.atproto.server.confirmEmail", body, account.auth)
        assert reply.status == 200, reply.body


def settings_of(url: str, *, moderation: bool = False) -> dict[str, str]:
    """Settings that let mails go through the server of a URL."""
    if moderation:
        return {
            "PDS_MODERATION_EMAIL_SMTP_URL": url,
            "PDS_MODERATION_EMAIL_ADDRESS": "Moderators <mod@pds.example.com>",
        }
    return {
        "PDS_EMAIL_SMTP_URL": url,
        "PDS_EMAIL_FROM_ADDRESS": "noreply@pds.example.com",
    }


def token_in(mail: Received) -> str:
    """The token that a mail brings, which both of its forms have."""
    found = re.search(r"\b[A-Z2-7]{5}-[A-Z2-7]{5}\b", mail.body("plain"))
    assert found is not None
    assert found[0] in mail.body("html")
    return found[0]


def let_time_pass(pds: Pds, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the clocks of invite codes and of the tokens in mails ahead."""
    for part in (pds.ctx.accounts.invites, pds.ctx.accounts.email_tokens):
        clock = part._clock
        monkeypatch.setattr(part, "_clock", lambda clock=clock: clock() + seconds)


async def get_session(pds: Pds, account: Account) -> Any:
    """What the account learns of itself."""
    return (await pds.get("com.atproto.server.getSession", account.auth)).json


async def login(pds: Pds, account: Account, password: str) -> Reply:
    """Try to log in."""
    body = {"identifier": account.handle, "password": password}
    return await pds.post("com.atproto.server.createSession", body)
