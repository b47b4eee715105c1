"""Heads of repos for listRepos, written behind."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from database.errors import DatabaseBusy
from database.opening import open_database
from pds.accounts.account import AccountStatus
from pds.accounts.accounts import Accounts
from pds.accounts.repo_roots import RepoRoots
from pds.accounts.schema import open_account_database
from repo.cid import Cid
from repo.syntax import Did
from tests.pds.accounts.conftest import ALICE, BOB, CID, REV, FakeClock, MakeAccount

NEW_CID = Cid.of_dag_cbor(b"\xa1")


def stored(accounts: Accounts, did: str = ALICE) -> object:
    return accounts.db.one("SELECT cid, rev, indexedAt FROM repo_root WHERE did = ?", (did,))


async def test_a_new_head_is_seen_at_once_and_written_on_flush(
    accounts: Accounts, make_account: MakeAccount, clock: FakeClock
) -> None:
    await make_account()
    before = stored(accounts)
    clock.now_s += 60
    accounts.repo_roots.set(ALICE, NEW_CID, "rev2")
    assert accounts.repo_roots.find(ALICE) == (str(NEW_CID), "rev2")
    assert accounts.repo_roots.list(limit=9)[0].head == str(NEW_CID)
    assert stored(accounts) == before
    await accounts.repo_roots.flush()
    # indexedAt is when the account came to be.
    assert stored(accounts) == (str(NEW_CID), "rev2", "2027-01-15T08:00:00.000Z")
    assert accounts.repo_roots.find(ALICE) == (str(NEW_CID), "rev2")


async def test_heads_are_written_by_the_timer(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account()
    flushed = asyncio.Event()

    class Announcing(RepoRoots):
        async def flush(self) -> None:
            await super().flush()
            flushed.set()

    roots = Announcing(accounts.db, flush_after_s=0.001)
    roots.set(ALICE, NEW_CID, "rev2")
    roots.set(ALICE, NEW_CID, "rev3")
    await asyncio.wait_for(flushed.wait(), 20)
    assert stored(accounts) == (str(NEW_CID), "rev3", "2027-01-15T08:00:00.000Z")
    await roots.close()


async def test_closing_writes_what_is_left(
    tmp_path: Path, accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account()
    accounts.repo_roots.set(ALICE, NEW_CID, "rev2")
    await accounts.close()
    db = open_account_database(tmp_path / "account.sqlite")
    assert db.one("SELECT cid, rev FROM repo_root") == (str(NEW_CID), "rev2")
    db.close()


async def test_a_deleted_account_does_not_get_its_row_back(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account()
    await accounts.delete_account(ALICE)
    accounts.repo_roots.set(ALICE, NEW_CID, "late")
    await accounts.repo_roots.flush()
    assert stored(accounts) is None


async def test_an_account_that_comes_back_keeps_its_new_head(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account()
    accounts.repo_roots.set(ALICE, NEW_CID, "old life")
    await accounts.delete_account(ALICE)
    await make_account()
    await accounts.repo_roots.flush()
    assert accounts.repo_roots.find(ALICE) == (str(CID), REV)


async def test_a_missing_row_is_mended(accounts: Accounts, make_account: MakeAccount) -> None:
    await make_account()
    accounts.db.run("DELETE FROM repo_root")
    accounts.repo_roots.set(ALICE, NEW_CID, "rev2")
    await accounts.repo_roots.flush()
    assert accounts.repo_roots.find(ALICE) == (str(NEW_CID), "rev2")


async def test_heads_that_could_not_be_written_are_kept_and_newer_ones_win(
    accounts: Accounts, make_account: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_account()
    await make_account(BOB, "bob.test")
    monkeypatch.setattr("database.retry.DELAYS_MS", (1, 1))
    other = open_database(accounts.db.path)
    accounts.repo_roots.set(ALICE, NEW_CID, "rev2")
    accounts.repo_roots.set(BOB, NEW_CID, "rev2")
    with other.transaction():
        flushing = asyncio.create_task(accounts.repo_roots.flush())
        await asyncio.sleep(0)
        accounts.repo_roots.set(BOB, NEW_CID, "rev3")
        with pytest.raises(DatabaseBusy):
            await flushing
    other.close()
    await accounts.repo_roots.flush()
    assert accounts.repo_roots.find(ALICE) == (str(NEW_CID), "rev2")
    assert accounts.repo_roots.find(BOB) == (str(NEW_CID), "rev3")


async def test_heads_are_shown_while_they_wait_for_the_file(
    accounts: Accounts, make_account: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_account()
    monkeypatch.setattr("database.retry.DELAYS_MS", (1, 1))
    accounts.repo_roots.set(ALICE, NEW_CID, "rev2")
    with closing(open_database(accounts.db.path)) as other, other.transaction():
        flushing = asyncio.create_task(accounts.repo_roots.flush())
        await asyncio.sleep(0)
        assert accounts.repo_roots.find(ALICE) == (str(NEW_CID), "rev2")
        assert [repo.rev for repo in accounts.repo_roots.list(limit=9)] == ["rev2"]
        assert accounts.repo_roots.waiting == 1
        with pytest.raises(DatabaseBusy):
            await flushing


async def test_an_older_head_never_overwrites_a_newer_one(
    accounts: Accounts, make_account: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_account()
    flushing = []
    with closing(open_database(accounts.db.path)) as other, other.transaction():
        # The older one tries again when the newer one has been written.
        for rev, delay_ms in (("older", 50), ("newer", 1)):
            monkeypatch.setattr("database.retry.DELAYS_MS", (delay_ms,) * 100)
            accounts.repo_roots.set(ALICE, NEW_CID, rev)
            flushing.append(asyncio.create_task(accounts.repo_roots.flush()))
            await asyncio.sleep(0)
    await asyncio.gather(*flushing)
    assert stored(accounts) == (str(NEW_CID), "newer", "2027-01-15T08:00:00.000Z")
    assert accounts.repo_roots.waiting == 0


async def test_heads_of_a_former_life_do_not_follow_an_account_that_comes_back(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account()
    await accounts.delete_account(ALICE)
    accounts.repo_roots.set(ALICE, NEW_CID, "a commit that was under way")
    await make_account()
    await accounts.repo_roots.flush()
    assert accounts.repo_roots.find(ALICE) == (str(CID), REV)


async def test_the_time_of_the_rows_is_noted_only_once_they_are_complete(
    accounts: Accounts, make_account: MakeAccount, clock: FakeClock
) -> None:
    await make_account()
    accounts.repo_roots.set(ALICE, NEW_CID, "rev2")
    await accounts.repo_roots.flush()
    assert accounts.repo_roots.complete_at_s is None
    accounts.repo_roots.mark_complete()
    await accounts.repo_roots.flush()
    assert accounts.repo_roots.complete_at_s == clock.now_s
    clock.now_s += 60
    accounts.repo_roots.set(ALICE, NEW_CID, "rev3")
    assert accounts.repo_roots.complete_at_s == clock.now_s - 60
    await accounts.repo_roots.flush()
    assert accounts.repo_roots.complete_at_s == clock.now_s


async def test_repos_are_paged_in_the_order_of_their_accounts_in_any_state(
    accounts: Accounts, make_account: MakeAccount, clock: FakeClock
) -> None:
    dids = [Did(f"did:plc:{letter}") for letter in "dbcae"]
    for index, did in enumerate(dids):
        await make_account(did, f"user{index}.test")
        clock.now_s += index % 2  # some share a createdAt and are ordered by DID
    await accounts.states.takedown(dids[0])
    await accounts.states.deactivate(dids[1])
    seen = []
    after = None
    while page := accounts.repo_roots.list(limit=2, after=after):
        seen += page
        after = (page[-1].created_at, page[-1].did)
    assert [repo.did for repo in seen] == [
        "did:plc:b",
        "did:plc:d",
        "did:plc:a",
        "did:plc:c",
        "did:plc:e",
    ]
    by_did = {repo.did: repo for repo in seen}
    assert by_did[dids[0]].status is AccountStatus.TAKENDOWN
    assert by_did[dids[1]].status is AccountStatus.DEACTIVATED
    assert by_did[dids[2]].status is AccountStatus.ACTIVE
    assert by_did[dids[2]].head == str(CID)
