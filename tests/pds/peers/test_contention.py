"""Several processes that write to the same files at once: each write is made, and none gives up.

The test of three processes takes some seconds, because it starts them.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

from database.opening import open_database
from identity.did_cache import DidCache
from pds.accounts.schema import open_account_database
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.peers import contender
from tests.processes import clean_environment
from tests.warm_python import start_python

PROCESSES = 3
ROUNDS = 64
"""A multiple of `contender.AT_ONCE`."""


def test_three_processes_write_to_the_service_database_and_the_did_cache(tmp_path: Path) -> None:
    open_account_database(tmp_path / "account.sqlite").close()
    DidCache.open(tmp_path / "did_cache.sqlite").close()
    running = [
        start_python(
            [sys.executable, "-m", contender.__name__, str(tmp_path), f"p{n}", str(ROUNDS)],
            env=clean_environment({"PYTHONPATH": str(Path.cwd())}),
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(PROCESSES)
    ]
    outputs = []
    for process in running:
        with process:
            outputs.append(process.communicate(timeout=60)[0])
    assert [process.returncode for process in running] == [0] * PROCESSES, outputs
    for file, table in (("account.sqlite", "email_token"), ("did_cache.sqlite", "did_doc")):
        db = open_database(tmp_path / file)
        assert db.value(f"SELECT count(*) FROM {table}") == PROCESSES * ROUNDS
        db.close()


class Elsewhere:
    """Another process that is writing to the service database of `pds` now and then."""

    def __init__(self, pds: Pds) -> None:
        self._own = pds.ctx.accounts.db
        self._db = open_database(self._own.path, busy_timeout_ms=0)

    async def writes_during(self, request: Awaitable[Reply]) -> Reply:
        """Write until the request waits for it; return the answer."""
        busy = self._own.counts.busy
        with self._db.transaction():
            asking = asyncio.ensure_future(request)
            while self._own.counts.busy == busy and not asking.done():  # noqa: ASYNC110 (a count)
                await asyncio.sleep(0.001)
        reply = await asking
        assert reply.status == 200, reply.body
        assert self._own.counts.busy > busy, "it has written nothing"
        return reply

    def close(self) -> None:
        self._db.close()


async def test_requests_wait_while_another_process_writes(pds: Pds, alice: Account) -> None:
    other = Elsewhere(pds)
    server = "com.atproto.server"
    account = {"handle": "bob.test", "email": "bob@example.com", "password": "bob-password"}
    login = {"identifier": alice.handle, "password": alice.password}
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": alice.did}
    takedown = {"subject": subject, "takedown": {"applied": False}}
    password = {"did": alice.did, "password": "another"}
    calls: tuple[tuple[str, Any, Mapping[str, str] | None], ...] = (
        (f"{server}.createAccount", account, None),
        (f"{server}.createSession", login, None),
        (f"{server}.refreshSession", None, alice.refresh_auth),
        (f"{server}.createAppPassword", {"name": "phone"}, alice.auth),
        (f"{server}.revokeAppPassword", {"name": "phone"}, alice.auth),
        (f"{server}.requestPasswordReset", {"email": alice.email}, None),
        (f"{server}.createInviteCode", {"useCount": 1}, pds.admin),
        ("com.atproto.identity.updateHandle", {"handle": "renamed.test"}, alice.auth),
        (f"{server}.deactivateAccount", {}, alice.auth),
        (f"{server}.activateAccount", None, alice.auth),
        ("com.atproto.admin.updateSubjectStatus", takedown, pds.admin),
        ("com.atproto.admin.updateAccountPassword", password, pds.admin),
        ("com.atproto.admin.deleteAccount", {"did": alice.did}, pds.admin),
    )
    for nsid, body, headers in calls:
        assert (await other.writes_during(pds.post(nsid, body, headers))).status == 200, nsid
    page = await other.writes_during(pds.request("GET", "/account/sign-in"))
    assert page.status == 200
    other.close()
