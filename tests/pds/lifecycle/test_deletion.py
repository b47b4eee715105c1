"""Deleting an account: the whole data directory is searched for what is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from database.connection import Database
from database.opening import open_database
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.moves import Step
from pds.accounts.quotas import Quota
from pds.lifecycle.states import delete_account
from pds.repos.damage import report
from repo.cid import Cid
from repo.syntax import Did
from sequencer import told
from tests.pds.accounts.test_erasure import sign_in
from tests.pds.api.moderation import NOTE, PNG
from tests.pds.api.signups import make_invite_codes
from tests.pds.conftest import Account, Pds

IMPERSONAL: Final = {
    *("kysely_migration", "kysely_migration_lock", "lexicon", "sqlite_sequence"),
    *("holdfast_heads", "holdfast_run", "holdfast_used_challenge"),
    *("holdfast_admin_session", "holdfast_admin_factor", "holdfast_admin_log"),
    *("holdfast_crawl", "holdfast_examination", "holdfast_mail"),
}
"""Tables of the service database that name nobody, and the log of what administrators did."""


async def test_nothing_is_left_but_the_event_that_says_so(pds: Pds, tmp_path: Path) -> None:
    alice, bob = [
        await pds.create_account(name, inviteCode=code)
        for name, code in zip(("alice", "bob"), await make_invite_codes(pds, 2), strict=True)
    ]
    for account in (alice, bob):
        await leave_traces(pds, account)
    traces = {place for word in (alice.did, alice.handle) for place in places_of(tmp_path, word)}
    personal = set(tables_of(tmp_path / "account.sqlite")) - IMPERSONAL
    assert {place for place in traces if not place.startswith("store.sqlite")} == {
        *(f"account.sqlite: {table}" for table in personal),
        *("did_cache.sqlite: did_doc", "sequencer.sqlite: repo_seq"),
        "sequencer.sqlite: holdfast_told",
        *("name: actors", "name: blobs", "name: blobs/tempt", "name: blobs/quarantine"),
    }
    of_bob = places_of(tmp_path, bob.did)
    await delete_account(pds.ctx, Did(alice.did))
    assert places_of(tmp_path, alice.did) == {"sequencer.sqlite: repo_seq"}
    assert len(rows_with(tmp_path / "sequencer.sqlite", alice.did)) == 1
    for word in (alice.handle, alice.email):
        assert places_of(tmp_path, word) == set()
    assert places_of(tmp_path, bob.did) == of_bob


async def test_neither_address_nor_password_nor_session_is_left_in_the_files(
    pds: Pds, tmp_path: Path
) -> None:
    # Rows of many pages, so that whole pages become free.
    accounts = [await pds.create_account(f"someone{n}") for n in range(30)]
    db, path = pds.ctx.accounts.db, tmp_path / "account.sqlite"
    secrets = [account.email for account in accounts]
    for sql in ("SELECT passwordScrypt FROM account", "SELECT id FROM refresh_token"):
        secrets += [text for (text,) in db.all(sql)]
    db.checkpoint()
    assert all(secret.encode() in path.read_bytes() for secret in secrets)
    for account in accounts:
        await delete_account(pds.ctx, Did(account.did))
    async with asyncio.timeout(20):
        while pds.ctx.checkpointer.waiting:  # noqa: ASYNC110 (in a thread)
            await asyncio.sleep(0.01)
    left = path.read_bytes() + path.with_name("account.sqlite-wal").read_bytes()
    assert [secret for secret in secrets if secret.encode() in left] == []


async def leave_traces(pds: Pds, account: Account) -> None:
    """Use everything that keeps something of an account."""
    ctx, did = pds.ctx, Did(account.did)
    # First, for it ends the sessions that come of the rest.
    await ctx.accounts.passwords.update(did, "another password")
    session = await ctx.accounts.sessions.create(
        await ctx.accounts.logins.check(account.handle, "another password")
    )
    account.access_jwt = session.access_jwt
    blobs = [
        (await pds.upload(account, text.encode(), "text/plain")).json["blob"]
        for text in (f"{account.handle} one", f"{account.handle} two")
    ]
    for blob in blobs:
        await pds.create_record(account, NOTE, {"file": blob})
    await ctx.blob_store.quarantine(did, Cid.parse(blobs[1]["ref"]["$link"]))
    await pds.upload(account, PNG)
    await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, account.auth)
    await ctx.accounts.email_tokens.create(did, EmailTokenPurpose.RESET_PASSWORD)
    await ctx.accounts.invites.create([did], count=1, uses=1)
    await ctx.accounts.quotas.set(did, Quota(10_000_000))
    await ctx.accounts.moves.begin(
        did, is_in=False, device_id="", url="", step=Step.REPOSITORY, session=b""
    )
    leave_second_factors(ctx.accounts.db, did)
    with closing(open_database(ctx.settings.sequencer_db_path)) as log, log.transaction():
        told.save(log, {did: told.Told("rev", account.handle)}, deleted_seq=0)
    await pds.get("com.atproto.repo.describeRepo", repo=did)
    sign_in(ctx.accounts, did, f"device-{account.handle}")
    await ctx.accounts.repo_roots.flush()
    report(ctx, did, "a test says so")
    async with asyncio.timeout(20):
        while did not in {entry.did for entry in ctx.unfinished.journal.entries()}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def leave_second_factors(db: Database, did: Did) -> None:
    """Add a row to each table of second factors."""
    for table, values in (
        ("holdfast_totp", (b"", 0, "")),
        ("holdfast_recovery_code", (b"",)),
        ("holdfast_email_factor", (1, "")),
        ("holdfast_mailed_code", (b"", 0)),
        ("holdfast_kept_address", ("", "")),
        ("holdfast_factor_guess", ("", 0, 0)),
    ):
        marks = ", ".join("?" for _ in (did, *values))
        db.run(f"INSERT INTO {table} VALUES ({marks})", (did, *values))
    for table, more in (
        ("holdfast_passkey", (b"", 0, "", "", "", "")),
        ("holdfast_trusted_browser", (b"", "", "", "", 0)),
    ):
        key = did.encode() if table == "holdfast_passkey" else did
        marks = ", ".join("?" for _ in (key, did, *more))
        db.run(f"INSERT INTO {table} VALUES ({marks})", (key, did, *more))


def places_of(data: Path, word: str) -> set[str]:
    """Where a word is: `file: table` of databases, and directories with a name that has it."""
    places = {
        f"{path.name}: {table}"
        for path in data.rglob("*.sqlite")
        if path.name != "plc.sqlite"  # the directory's, which is not of this server
        for table, _ in rows_with(path, word)
    }
    for path in data.rglob("*"):
        if word in path.name:
            parts = path.relative_to(data).parent.parts
            places.add("name: " + "/".join(part for part in parts if len(part) != 2))
    return places


def rows_with(path: Path, word: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Every row of a database that has a word in any column, with its table."""
    with closing(open_database(path, create=False, read_only=True)) as db:
        return list(_rows_with(db, word.encode()))


def _rows_with(db: Database, word: bytes) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for table in _tables_in(db):
        for row in db.all(f'SELECT * FROM "{table}"'):
            values = [value if isinstance(value, bytes) else str(value).encode() for value in row]
            if any(word in value for value in values):
                yield table, row


def tables_of(path: Path) -> list[str]:
    """The tables of a database."""
    with closing(open_database(path, create=False, read_only=True)) as db:
        return _tables_in(db)


def _tables_in(db: Database) -> list[str]:
    return [name for (name,) in db.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
