"""Recovery within one process: the journal, what it settles, and what durability is asked for.

What real crashes leave is tested in tests/e2e: test_crashes, test_fault_points, test_power_loss,
test_damage.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.layout import ActorLayout
from database.errors import DatabaseFull, DatabaseIoFailed
from database.opening import open_database
from database.timestamps import iso_of
from identity.plc import PlcClient, PlcError
from identity.plc_data import PlcData
from identity.plc_operation import PlcOperation
from pds.accounts.account import ActorAccount
from pds.accounts.errors import HandleNotAvailable
from pds.context import AppContext
from pds.disk.data_directory import CHECK_FILE
from pds.lifecycle.changes import NEW, journaled
from pds.lifecycle.handles import update_handle
from pds.lifecycle.states import deactivate, delete_account
from pds.pending import journal as journal_module
from pds.pending import retrier as retrier_module
from pds.pending.journal import Entry, Journal
from pds.pending.retrier import Retrier
from pds.recovery import start as recovery_start
from pds.recovery.start import WINDOW_S
from pds.recovery.stores import mend_store
from repo.syntax import Did
from sequencer.events import IdentityEvent
from sequencer.run_state import RunState
from tests.pds.api.records import create, get
from tests.pds.conftest import Account, Pds, Reply, start_pds
from tests.pds.events import kinds_of, read_events
from tests.syncs import Disk


@pytest.fixture
async def starts(tmp_path: Path) -> AsyncIterator[Starts]:
    async with AsyncExitStack() as stack:
        yield Starts(stack, tmp_path)


class Starts:
    """A data directory, and one server after the other on it."""

    def __init__(self, stack: AsyncExitStack, data: Path) -> None:
        self._stack = stack
        self.data = data
        self._run = AsyncExitStack()
        stack.push_async_callback(self.stop)

    async def start(self, **environ: str) -> Pds:
        """Start, after the last one has stopped."""
        return await start_pds(self._run, self.data, environ)

    async def stop(self) -> None:
        """Stop in order."""
        await self._run.aclose()
        self._run = AsyncExitStack()

    async def again(self) -> Pds:
        """Stop in order and start."""
        await self.stop()
        return await self.start()


def journal(pds: Pds) -> list[Entry]:
    return pds.ctx.unfinished.journal.entries()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in the background."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)


def unreachable(*_: object, **__: object) -> object:
    raise PlcError(502, "the directory does not answer")


def losing_the_answer(
    send: Callable[..., Awaitable[None]],
) -> Callable[..., Awaitable[None]]:
    """Sending an operation that arrives, and whose answer does not."""

    async def send_and_lose(*args: object) -> None:
        await send(*args)
        unreachable()

    return send_and_lose


async def sign_alias(pds: Pds, account: Account, alias: str) -> PlcOperation:
    """An operation that gives an account's DID one more alias."""

    def add(data: PlcData) -> PlcData:
        return replace(data, also_known_as=(*data.also_known_as, alias))

    return await pds.ctx.plc.sign_update(Did(account.did), add, key=pds.ctx.rotation_key)


async def submit(pds: Pds, account: Account, operation: PlcOperation) -> Reply:
    """com.atproto.identity.submitPlcOperation."""
    body = {"operation": operation.to_json()}
    return await pds.post("com.atproto.identity.submitPlcOperation", body, account.auth)


class TestStarting:
    """What a start looks at."""

    async def test_after_an_orderly_stop_no_store_is_looked_at(
        self, starts: Starts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pds = await starts.start()
        await pds.create_account("alice")

        def fail(*_: object, **__: object) -> None:
            raise AssertionError("looked at stores")

        monkeypatch.setattr(recovery_start, "find_stores", fail)
        monkeypatch.setattr(ActorLayout, "iter_directories", fail)
        pds = await starts.again()
        assert not pds.ctx.event_log.run.was_unclean
        assert kinds_of(read_events(pds)) == ["identity", "account", "append", "sync"]

    async def test_a_start_that_fails_does_not_count_as_recovered(
        self, starts: Starts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pds = await starts.start()
        await pds.create_account("alice")
        mark_as_crashed(pds)
        await starts.stop()

        async def fail(*_: object, **__: object) -> bool:
            raise DatabaseIoFailed("sequencer.sqlite", "disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(recovery_start, "mend_store", fail)
            with pytest.raises(DatabaseIoFailed):
                await starts.start()
        pds = await starts.again()
        assert pds.ctx.event_log.run.was_unclean

    async def test_recovery_that_finds_a_full_disk_is_finished_by_the_first_write(
        self, starts: Starts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pds = await starts.start()
        alice = await pds.create_account("alice")
        mark_as_crashed(pds)
        await starts.stop()

        async def fail(*_: object, **__: object) -> bool:
            raise DatabaseFull("sequencer.sqlite", "disk full")

        # Only writes try again, so that it is known when.
        monkeypatch.setattr(retrier_module, "_DELAYS_S", (1_000,))
        with monkeypatch.context() as patch:
            patch.setattr(recovery_start, "mend_store", fail)
            pds = await starts.start()
            assert (await get(pds, alice, "one")).error == (400, "RecordNotFound")
            for _ in range(2):
                reply = await create(pds, alice, {"n": 1}, rkey="one")
                assert reply.error == (503, "NotEnoughResources")
            (failure,) = (await pds.get("_health")).json["checks"]
            assert "the last stop has left" in failure["reason"]
        assert (await create(pds, alice, {"n": 1}, rkey="one")).status == 200
        assert pds.ctx.unfinished.finished

    async def test_a_run_that_could_not_be_noted_is_noted_before_its_first_event(
        self, starts: Starts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise DatabaseFull("sequencer.sqlite", "disk full")

        monkeypatch.setattr(retrier_module, "_DELAYS_S", (1_000,))
        with monkeypatch.context() as patch:
            patch.setattr(RunState, "_start", fail)
            patch.setattr(recovery_start, "join_run", fail)
            pds = await starts.start()
        db = pds.ctx.sequencer._db
        assert db.value("SELECT running FROM holdfast_run") is None
        await pds.create_account("alice")
        assert db.value("SELECT running FROM holdfast_run") == 1
        assert db.value("SELECT seq FROM holdfast_reserved") > pds.ctx.sequencer.current_seq

    async def test_what_a_recovery_that_was_cut_off_has_left_is_mended_by_the_next(
        self, starts: Starts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it has told already makes the crash look younger than it is."""
        pds = await starts.start()
        accounts = [await pds.create_account(name) for name in ("alice", "bob")]
        mark_as_crashed(pds)
        await starts.stop()
        for account in accounts:
            hold_up_head(starts.data, account, for_s=WINDOW_S * 3)
        with closing(open_database(starts.data / "sequencer.sqlite")) as db:
            db.run("DELETE FROM repo_seq WHERE eventType IN ('append', 'sync')")
        mended = 0

        async def mend_one(ctx: AppContext, account: ActorAccount, **how: bool) -> bool:
            nonlocal mended
            if mended:
                raise DatabaseIoFailed("sequencer.sqlite", "disk fails")
            mended += 1
            return await mend_store(ctx, account, **how)

        with monkeypatch.context() as patch:
            patch.setattr(recovery_start, "mend_store", mend_one)
            with pytest.raises(DatabaseIoFailed):
                await starts.start()
        pds = await starts.start()
        told = {event.body["did"] for event in read_events(pds) if event.kind == "sync"}
        assert told == {account.did for account in accounts}
        assert not (starts.data / CHECK_FILE).exists()

    async def test_a_lost_event_is_told_though_the_clock_was_ahead_at_the_one_before(
        self, starts: Starts
    ) -> None:
        pds = await starts.start()
        alice, _ = await pds.create_account("alice"), await pds.create_account("bob")
        await pds.create_record(alice, "com.example.note", {"text": "untold"})
        ((_, rev),) = heads(pds, alice)
        mark_as_crashed(pds)
        await starts.stop()
        with closing(open_database(starts.data / "sequencer.sqlite")) as log:
            log.run("DELETE FROM repo_seq WHERE seq = (SELECT max(seq) FROM repo_seq)")
            log.run(
                "UPDATE repo_seq SET sequencedAt = '2099-01-01T00:00:00.000Z'"
                " WHERE seq = (SELECT max(seq) FROM repo_seq)"
            )
        pds = await starts.start()
        last = pds.ctx.sequencer.log.last_event_of(alice.did)
        assert last is not None
        assert (last.event_type, last.rev) == ("sync", rev)

    async def test_a_second_recovery_finds_nothing_to_do(self, starts: Starts) -> None:
        pds = await starts.start()
        alice = await pds.create_account("alice")
        await pds.ctx.accounts.states.deactivate(Did(alice.did))
        mark_as_crashed(pds)
        await starts.stop()
        pds = await starts.start()
        told = kinds_of(read_events(pds))
        assert told == ["identity", "account", "append", "sync", "account"]
        mark_as_crashed(pds)
        pds = await starts.again()
        assert kinds_of(read_events(pds)) == told

    async def test_a_handle_is_told_though_the_last_event_of_its_did_names_none(
        self, starts: Starts
    ) -> None:
        pds = await starts.start()
        alice = await pds.create_account("alice")
        await pds.ctx.sequencer.append(IdentityEvent(alice.did), IdentityEvent(alice.did))
        mark_as_crashed(pds)
        await starts.stop()
        pds = await starts.start()
        before = pds.ctx.sequencer.current_seq
        await pds.ctx.accounts.update_handle(Did(alice.did), "alicia.test")
        mark_as_crashed(pds)
        pds = await starts.again()
        told = read_events(pds, after=before)
        assert [event.body for event in told] == [{"did": alice.did, "handle": "alicia.test"}]


class TestHeads:
    """What listRepos shows after a start."""

    async def test_a_head_that_was_long_held_up_is_written_after_a_crash(
        self, starts: Starts
    ) -> None:
        pds = await starts.start()
        alice, bob = await pds.create_account("alice"), await pds.create_account("bob")
        (right, _) = heads(pds, alice, bob)
        mark_as_crashed(pds)
        await starts.stop()
        hold_up_head(starts.data, alice, for_s=WINDOW_S * 3)
        pds = await starts.start()
        assert heads(pds, alice) == [right]
        assert [repo.rev for repo in pds.ctx.accounts.repo_roots.list(limit=1)] == [right[1]]

    async def test_a_head_of_a_deactivated_account_is_written_though_no_event_tells_it(
        self, starts: Starts
    ) -> None:
        pds = await starts.start()
        alice = await pds.create_account("alice")
        await deactivate(pds.ctx, Did(alice.did))
        data = await pds.ctx.actor_store.transact(alice.did, lambda actor: actor.recommit())
        await pds.create_account("bob")
        mark_as_crashed(pds)
        await starts.stop()
        hold_up_head(starts.data, alice, for_s=WINDOW_S * 3)
        pds = await starts.start()
        assert heads(pds, alice) == [(str(data.cid), data.rev)]

    async def test_old_heads_of_a_version_that_left_them_are_written(self, starts: Starts) -> None:
        pds = await starts.start()
        alice = await pds.create_account("alice")
        right = heads(pds, alice)
        await starts.stop()
        hold_up_head(starts.data, alice, for_s=0)
        with closing(open_database(starts.data / "account.sqlite")) as db:
            db.run("DROP TABLE holdfast_heads")
        pds = await starts.start()
        assert not pds.ctx.event_log.run.was_unclean
        assert heads(pds, alice) == right
        await pds.ctx.accounts.repo_roots.flush()
        assert pds.ctx.accounts.repo_roots.complete_at_s is not None

    async def test_a_crash_while_it_recovers_forgets_no_head(
        self, starts: Starts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pds = await starts.start()
        alice, bob = await pds.create_account("alice"), await pds.create_account("bob")
        right = heads(pds, alice, bob)
        mark_as_crashed(pds)
        await starts.stop()
        hold_up_head(starts.data, alice, for_s=WINDOW_S * 3)
        hold_up_head(starts.data, bob, for_s=0)

        async def write_and_crash(ctx: AppContext, _: object) -> int:
            await ctx.accounts.repo_roots.flush()
            raise DatabaseIoFailed("account.sqlite", "disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(recovery_start, "mend_heads", write_and_crash)
            with pytest.raises(DatabaseIoFailed):
                await starts.start()
        pds = await starts.start()
        assert heads(pds, alice, bob) == right


def heads(pds: Pds, *accounts: Account) -> list[tuple[str, str]]:
    """CID and rev of repositories, as listRepos shows them."""
    found = [pds.ctx.accounts.repo_roots.find(account.did) for account in accounts]
    return [head for head in found if head is not None]


def hold_up_head(data: Path, account: Account, *, for_s: float) -> None:
    """Let the head of an account be one that was due so long ago, and was not written."""
    then_s = time.time() - for_s
    with closing(open_database(data / "account.sqlite")) as db:
        db.run("UPDATE repo_root SET rev = '3aaaaaaaaaa2x' WHERE did = ?", (account.did,))
        db.run("UPDATE holdfast_heads SET completeAt = min(completeAt, ?)", (iso_of(then_s - 1),))
    with closing(open_database(data / "sequencer.sqlite")) as db:
        at = (iso_of(then_s), account.did)
        db.run("UPDATE repo_seq SET sequencedAt = ? WHERE did = ?", at)
    for path in data.glob(f"actors/*/{account.did}/store.sqlite*"):
        os.utime(path, (then_s, then_s))


class TestJournal:
    """Changes of several places that do not get to their end."""

    async def test_changes_that_end_leave_nothing_in_the_journal(self, pds: Pds) -> None:
        alice = await pds.create_account("alice")
        await update_handle(pds.ctx, Did(alice.did), "alicia.test")
        await delete_account(pds.ctx, Did(alice.did))
        assert journal(pds) == []
        assert kinds_of(read_events(pds)) == ["account"]
        assert not pds.ctx.actor_store.exists(alice.did)

    async def test_an_account_that_could_not_be_undone_is_undone_once_plc_answers(
        self, pds: Pds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(PlcClient, "send", losing_the_answer(PlcClient.send))
            patch.setattr(PlcClient, "last_op", unreachable)
            reply = await pds.post("com.atproto.server.createAccount", signup("alice"))
            assert reply.error == (502, "UpstreamFailure")
            (entry,) = journal(pds)
            assert (entry.kind, entry.detail) == ("create", NEW)
            assert not pds.ctx.actor_store.exists(entry.did)
        await until(lambda: not journal(pds))
        last = pds.plc.find_last(entry.did)
        assert last is not None
        assert last.data is None

    async def test_a_did_gets_its_handle_back_once_plc_answers(
        self, pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        did = Did(alice.did)

        async def taken(*_: object) -> None:
            raise HandleNotAvailable("taken meanwhile")

        with monkeypatch.context() as patch:
            patch.setattr(type(pds.ctx.accounts), "update_handle", taken)
            patch.setattr(PlcClient, "data", unreachable)
            with pytest.raises(HandleNotAvailable):
                await update_handle(pds.ctx, did, "alicia.test")
            assert journal(pds) == [Entry("handle", did, "alicia.test")]
        await until(lambda: not journal(pds))
        assert (await pds.ctx.plc.data(did)).also_known_as == ("at://alice.test",)

    async def test_an_operation_whose_answer_was_lost_is_told_once_plc_answers(
        self, pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        did, before = Did(alice.did), pds.ctx.sequencer.current_seq
        operation = await sign_alias(pds, alice, "https://alice.example.com")
        with monkeypatch.context() as patch:
            patch.setattr(PlcClient, "send", losing_the_answer(PlcClient.send))
            patch.setattr(PlcClient, "last_op", unreachable)
            reply = await submit(pds, alice, operation)
            assert reply.error == (502, "UpstreamFailure")
            assert journal(pds) == [Entry("identity", did, str(operation.cid))]
            assert pds.ctx.sequencer.current_seq == before
        await until(lambda: not journal(pds))
        (event,) = read_events(pds, after=before)
        assert (event.kind, event.body) == ("identity", {"did": did})

    async def test_an_operation_that_never_arrived_is_not_told(
        self, pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = pds.ctx.sequencer.current_seq
        operation = await sign_alias(pds, alice, "https://alice.example.com")
        with monkeypatch.context() as patch:
            patch.setattr(PlcClient, "send", unreachable)
            assert (await submit(pds, alice, operation)).error == (502, "UpstreamFailure")
        assert journal(pds) == []
        assert read_events(pds, after=before) == []

    async def test_two_changes_of_one_account_wait_for_each_other(
        self, pds: Pds, alice: Account
    ) -> None:
        did = Did(alice.did)
        handles = [f"alice{number}.test" for number in range(4)]
        await asyncio.gather(*(update_handle(pds.ctx, did, handle) for handle in handles))
        account = pds.ctx.accounts.get_account(did)
        assert (await pds.ctx.plc.data(did)).also_known_as == (f"at://{account.handle}",)
        told = [event.body["handle"] for event in read_events(pds) if event.kind == "identity"]
        assert told == ["alice.test", *handles]

    async def test_an_account_that_was_in_use_is_never_taken_for_a_half_made_one(
        self, starts: Starts
    ) -> None:
        """As when the service database comes from a backup that fell into a sign-up."""
        pds = await starts.start()
        alice = await pds.create_account("alice")
        await pds.post_text(alice)
        await pds.ctx.accounts.delete_account(Did(alice.did))
        await pds.ctx.unfinished.journal.add(Entry("create", Did(alice.did), NEW))
        pds = await starts.again()
        await until(lambda: not journal(pds))
        assert pds.ctx.actor_store.exists(alice.did)
        assert (await pds.ctx.plc.last_op(Did(alice.did))).data is not None

    async def test_a_failure_to_drop_the_entry_is_no_failure_of_the_change(
        self, pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object, **__: object) -> None:
            raise DatabaseFull("account.sqlite", "disk full")

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "drop", fail)
            await update_handle(pds.ctx, Did(alice.did), "alicia.test")
            assert len(journal(pds)) == 1
        await until(lambda: not journal(pds))
        assert pds.ctx.accounts.get_account(alice.did).handle == "alicia.test"

    async def test_a_cancelled_change_is_settled(self, pds: Pds, alice: Account) -> None:
        begun = asyncio.Event()

        async def change() -> None:
            async with journaled(pds.ctx, Entry("handle", Did(alice.did), "alicia.test")):
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(change())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not journal(pds))


class TestDurability:
    """What is on the disk when it is answered."""

    @pytest.mark.parametrize("durability", ["normal", "full"])
    async def test_every_database_follows_the_setting(
        self, starts: Starts, disk: Disk, durability: str
    ) -> None:
        pds = await starts.start(PDS_DURABILITY=durability)
        ctx = pds.ctx
        alice = await pds.create_account("alice")
        disk.begun.clear()
        await pds.post_text(alice)
        await pds.post(
            "com.atproto.server.createSession",
            {"identifier": alice.handle, "password": alice.password},
        )
        await ctx.actor_store.transact_in_thread(alice.did, lambda actor: None)
        expected = {"store": 2, "sequencer": 1, "account": 1} if durability == "full" else {}
        assert disk.begun == expected
        assert isinstance(ctx.blob_store, DiskBlobStore)
        assert ctx.blob_store._full_sync == (durability == "full")

    async def test_an_account_is_durable_with_normal_durability_too(
        self, pds: Pds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its rows are synced before the answer, for the DID is known outside of this machine."""
        synced: list[int] = []

        def note(path: Path) -> None:
            synced.append(pds.ctx.accounts.db.value("SELECT count(*) FROM actor"))

        monkeypatch.setattr(journal_module, "sync_wal", note)
        await pds.create_account("alice")
        assert synced == [0, 1]


class TestRetrier:
    """Work that is repeated until it succeeds."""

    async def test_a_job_is_repeated_until_it_succeeds_and_hinders_no_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retrier_module, "_DELAYS_S", (0, 0))
        retrier, ran = Retrier(), list[str]()

        async def stubborn() -> None:
            ran.append("stubborn")
            if ran.count("stubborn") < 3:
                raise OSError("not yet")

        async def easy() -> None:
            ran.append("easy")

        retrier.later("stubborn", stubborn)
        retrier.later("easy", easy)
        await until(lambda: ran.count("stubborn") == 3)
        assert ran.count("easy") == 1
        retrier.later("easy", easy)
        await until(lambda: ran.count("easy") == 2)
        await retrier.close()

    async def test_closing_gives_up_on_what_is_left(self) -> None:
        retrier = Retrier()

        async def fail() -> None:
            raise OSError("never")

        retrier.later("hopeless", fail)
        await asyncio.sleep(0)
        before = asyncio.all_tasks()
        await retrier.close()
        await retrier.close()
        assert len(asyncio.all_tasks()) == len(before) - 1


def signup(name: str) -> dict[str, str]:
    return {
        "handle": f"{name}.test",
        "email": f"{name}@example.com",
        "password": f"{name}-password",
    }


def mark_as_crashed(pds: Pds) -> None:
    """Let the stop that follows look like a crash, but for the files being in order."""
    pds.ctx.unfinished.finished = False
