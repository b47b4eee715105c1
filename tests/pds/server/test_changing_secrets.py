"""Changing a secret of the environment: what goes on, and who has to log in again.

docs/operating.md, Changing secrets, promises each. Keys are changed in test_key_rotation.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.pds.api.exports import export
from tests.pds.api.mailbox import RESET
from tests.pds.api.records import create
from tests.pds.conftest import Account, Pds, Reply, basic_auth, start_pds
from tests.pds.mail.smtp_server import mail_server

SESSION = "com.atproto.server.createSession"


async def log_in(pds: Pds, account: Account, password: str) -> Reply:
    return await pds.post(SESSION, {"identifier": account.handle, "password": password})


async def started(data: Path, environ: dict[str, str], work: Any) -> Any:
    """What `work` returns, done with a server on `data`, which is stopped then."""
    async with AsyncExitStack() as stack:
        return await work(await start_pds(stack, data, environ))


async def test_another_jwt_secret_ends_all_sessions_and_no_login(tmp_path: Path) -> None:
    async def before(pds: Pds) -> tuple[Account, str]:
        alice = await pds.create_account("alice")
        made = await pds.post("com.atproto.server.createAppPassword", {"name": "phone"}, alice.auth)
        return alice, str(made.json["password"])

    async def after(pds: Pds) -> None:
        for nsid, auth in (
            ("com.atproto.server.getSession", alice.auth),
            ("com.atproto.server.refreshSession", alice.refresh_auth),
        ):
            ask = pds.get if nsid.endswith("getSession") else pds.post
            reply = await ask(nsid, headers=auth)
            assert reply.error == (400, "InvalidToken")
        assert (await log_in(pds, alice, app_password)).status == 200
        session = await log_in(pds, alice, alice.password)
        alice.access_jwt = session.json["accessJwt"]
        assert (await create(pds, alice, {"n": 1})).status == 200
        await export(pds, alice.did)

    alice, app_password = await started(tmp_path, {"PDS_JWT_SECRET": "the old secret"}, before)
    await started(tmp_path, {"PDS_JWT_SECRET": "the new secret"}, after)


async def test_another_admin_password_counts_from_the_start_on(tmp_path: Path) -> None:
    async def invites(pds: Pds) -> list[int]:
        nsid = "com.atproto.server.createInviteCode"
        replies = [
            await pds.post(nsid, {"useCount": 1}, basic_auth("admin", password))
            for password in ("old", "new")
        ]
        return [reply.status for reply in replies]

    assert await started(tmp_path, {"PDS_ADMIN_PASSWORD": "old"}, invites) == [200, 401]
    assert await started(tmp_path, {"PDS_ADMIN_PASSWORD": "new"}, invites) == [401, 200]


async def test_another_mail_password_is_used_from_the_start_on(tmp_path: Path) -> None:
    async with mail_server(password="new") as server:

        async def ask(pds: Pds) -> int:
            account = await pds.create_account(f"user{len(server.logins)}")
            return (await pds.post(RESET, {"email": account.email})).status

        def environ(password: str) -> dict[str, str]:
            return {
                "PDS_EMAIL_SMTP_URL": f"smtp://me:{password}@{server.address}",
                "PDS_EMAIL_FROM_ADDRESS": "pds@example.com",
            }

        assert await started(tmp_path, environ("old"), ask) == 502
        assert server.mails == []
        assert await started(tmp_path, environ("new"), ask) == 200
        assert len(server.mails) == 1
