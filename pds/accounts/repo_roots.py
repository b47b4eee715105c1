"""The table `repo_root`: a copy of each repo's head, so that listRepos is one statement.

Heads are written behind: a commit only queues its head here, and a timer writes the queued heads in
one transaction. They stay queued until that is committed, and each attempt writes the newest, so
that no older one is shown or stored, however long the file is locked. The time is written with
them, to a table of our own: after a crash, stores that have not changed since then need not be
compared with their rows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from database.connection import Database
from database.errors import DatabaseError
from database.retry import write
from database.timestamps import Clock, epoch_s_of, iso_of
from pds.accounts.account import AccountStatus, status_from
from repo.cid import Cid
from repo.syntax import Did

FLUSH_AFTER_S: Final = 1.0

_PAGE: Final = """
    SELECT actor.did, cid, rev, createdAt, takedownRef, deactivatedAt
    FROM actor JOIN repo_root ON repo_root.did = actor.did
    WHERE (createdAt, actor.did) > (?, ?)
    ORDER BY createdAt, actor.did LIMIT ?
"""
# The row of an account that was deleted meanwhile must not be re-created.
_UPSERT: Final = """
    INSERT INTO repo_root (did, cid, rev, indexedAt)
    SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM actor WHERE did = ?1)
    ON CONFLICT (did) DO UPDATE SET cid = excluded.cid, rev = excluded.rev
"""
_FIND: Final = "SELECT cid, rev FROM repo_root WHERE did = ?"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_heads (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  completeAt TEXT NOT NULL
) STRICT
"""
_SAVE_TIME: Final = "INSERT OR REPLACE INTO holdfast_heads (id, completeAt) VALUES (1, ?)"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ListedRepo:
    """A repo in listRepos. `head` is the CID of its commit; `created_at` is the account's."""

    did: Did
    head: str
    rev: str
    created_at: str
    status: AccountStatus


def find_root(db: Database, did: str) -> tuple[str, str] | None:
    """Return the stored head of a repo: CID and rev."""
    row = db.one(_FIND, (did,))
    return None if row is None else (row[0], row[1])


class RepoRoots:
    """Rows of `repo_root`, and the heads queued to be written."""

    def __init__(
        self, db: Database, *, flush_after_s: float = FLUSH_AFTER_S, clock: Clock = time.time
    ) -> None:
        """Create our own table if necessary."""
        self._db = db
        self._clock = clock
        self._flush_after_s = flush_after_s
        self._pending: dict[str, tuple[Cid, str]] = {}
        self._are_complete = False
        self._time_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        db.run(_SCHEMA)

    @property
    def waiting(self) -> int:
        """The number of heads queued to be written."""
        return len(self._pending)

    @property
    def complete_at_s(self) -> float | None:
        """When the rows last had the head of every repo, in Unix seconds; None if unknown."""
        at = self._db.value("SELECT completeAt FROM holdfast_heads")
        return None if at is None else epoch_s_of(at)

    def mark_complete(self) -> None:
        """Record that every head is in its row or queued here. Needs a running event loop."""
        self._are_complete = self._time_is_due = True
        self._flush_later()

    def set(self, did: str, cid: Cid, rev: str) -> None:
        """Queue a new head, written within about `flush_after_s`. Needs a running event loop."""
        self._pending[did] = (cid, rev)
        self._flush_later()

    def add(self, did: Did, cid: Cid, rev: str) -> None:
        """Write the first head of a new account, inside its transaction."""
        self._db.run(
            "INSERT INTO repo_root (did, cid, rev, indexedAt) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (did) DO UPDATE SET cid = excluded.cid, rev = excluded.rev",
            (did, str(cid), rev, iso_of(self._clock())),
        )

    def forget(self, did: Did) -> None:
        """Drop the queued head of a deleted account: the DID may return with another."""
        self._pending.pop(did, None)

    def find(self, did: str) -> tuple[str, str] | None:
        """Return the newest head, queued or stored: CID and rev."""
        if did in self._pending:
            cid, rev = self._pending[did]
            return str(cid), rev
        return find_root(self._db, did)

    @property
    def queued(self) -> Mapping[str, tuple[Cid, str]]:
        """The heads queued to be written: CID and rev by DID."""
        return self._pending

    def list(
        self,
        *,
        limit: int,
        after: tuple[str, str] | None = None,
        queued: Sequence[Mapping[str, tuple[Cid, str]]] | None = None,
    ) -> list[ListedRepo]:
        """Return a page of repos in any state, in the order their accounts were created.

        `after` is the `created_at` and DID of the last one on the previous page; `queued` has the
        heads that wait in each process of the server.
        """
        queued = [self._pending] if queued is None else queued
        # A condition that the first page does without would make each page read all before it.
        created_at, did = after or ("", "")
        return [_listed(row, queued) for row in self._db.all(_PAGE, (created_at, did, limit))]

    async def flush(self) -> None:
        """Write the queued heads. Raises `DatabaseError`; the heads then stay queued."""
        if not self._pending and not self._time_is_due:
            return
        await write(self._db, self._write_all)
        # Nothing was awaited since the COMMIT, so no newer head can have been queued.
        self._pending.clear()
        self._time_is_due = False

    async def close(self) -> None:
        """Write the remaining heads. Raises `DatabaseError`."""
        if self._flushing is not None:
            await self._flushing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            await self.flush()

    def _write_all(self) -> None:
        at = iso_of(self._clock())
        rows = [(did, str(cid), rev, at) for did, (cid, rev) in self._pending.items()]
        self._db.many(_UPSERT, rows)
        if self._are_complete:
            self._db.run(_SAVE_TIME, (at,))

    def _flush_later(self) -> None:
        if self._timer is None and self._flushing is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._flush_after_s, self._start_flush)

    def _start_flush(self) -> None:
        self._timer = None
        self._flushing = asyncio.create_task(self._flush_or_postpone())

    async def _flush_or_postpone(self) -> None:
        try:
            await self.flush()
        except DatabaseError as exc:
            _log.warning("repo heads not written, trying again", reason=str(exc))
        finally:
            self._flushing = None
        # The time alone can wait for the next head, or for the shutdown.
        if self._pending:
            self._flush_later()


def _listed(row: tuple[Any, ...], queued: Sequence[Mapping[str, tuple[Cid, str]]]) -> ListedRepo:
    did, head, rev, created_at, takedown_ref, deactivated_at = row
    waiting = [heads[did] for heads in queued if did in heads]
    if waiting:
        cid, rev = max(waiting, key=lambda one: one[1])
        head = str(cid)
    return ListedRepo(did, head, rev, created_at, status_from(takedown_ref, deactivated_at))
