"""The table `holdfast_move`: accounts that move in or out, and how far each has come.

The table is our own addition to the service database; the reference PDS ignores it. What it keeps
of a session at the other server is sealed by its callers.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from database.connection import Database
from database.retry import write
from database.timestamps import Clock
from repo.syntax import Did

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_move (
  did TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  isIn INTEGER NOT NULL,
  isReturn INTEGER NOT NULL,
  oldKey TEXT NOT NULL,
  deviceId TEXT NOT NULL,
  url TEXT NOT NULL,
  step TEXT NOT NULL,
  session BLOB,
  sessionAt INTEGER NOT NULL,
  rev TEXT NOT NULL,
  blobs INTEGER NOT NULL,
  blobsDone INTEGER NOT NULL,
  blobsLost INTEGER NOT NULL,
  lossAccepted INTEGER NOT NULL,
  problem TEXT NOT NULL,
  said TEXT NOT NULL,
  worker TEXT NOT NULL,
  workerUntil INTEGER NOT NULL,
  changedAt INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""
_COLUMNS: Final = (
    "did, id, isIn, isReturn, oldKey, deviceId, url, step, session, rev, blobs, blobsDone,"
    " blobsLost, lossAccepted, problem, said, workerUntil, changedAt"
)


class Step(StrEnum):
    """What is to be done next. A step that has been done is not done again.

    ============  =====================================================  =====================
    step          what it waits for                                      can be undone
    ============  =====================================================  =====================
    DETAILS       the person: handle, address and password here          yes, nothing was made
    REPOSITORY    the background: copies the repository                  yes, the new account is
    BLOBS         the background: copies the blobs                       deleted, and the old
    PREFERENCES   the background: copies the preferences                 one has not changed
    REVIEW        the person: is what was copied enough; a code by mail  (as above)
    CODE          the person: the code, and the last question            (as above)
    ACTIVATE      the DID names the new server: it activates the account no
    LEAVE         the old server is to deactivate the account            no
    DONE          nothing                                                no
    CANCEL        the new account is to be deleted                       no
    ============  =====================================================  =====================
    """

    DETAILS = "details"
    REPOSITORY = "repository"
    BLOBS = "blobs"
    PREFERENCES = "preferences"
    REVIEW = "review"
    CODE = "code"
    ACTIVATE = "activate"
    LEAVE = "leave"
    DONE = "done"
    CANCEL = "cancel"


COPYING: Final = (Step.REPOSITORY, Step.BLOBS, Step.PREFERENCES)
"""The steps that the server does by itself, in this order."""
UNDOABLE: Final = (Step.DETAILS, *COPYING, Step.REVIEW, Step.CODE)


@dataclass(slots=True, frozen=True)
class Move:
    """An account that moves."""

    did: Did
    id: str
    """Tells the move from a later one of the same account, which may be to another server."""
    is_in: bool
    """Whether this server is the new one; else it is the old one."""
    is_return: bool
    """Whether this server, the new one, has a copy of the account from before it moved away."""
    old_key: str
    """The did:key that signed at the old server when the move began; empty if that is unknown."""
    device_id: str
    """The browser that has begun the move; others need to be signed in to the account."""
    url: str
    """The other server."""
    step: Step
    session: bytes | None
    """The sealed session at the other server; None once it has ended."""
    rev: str
    """The rev that was copied, at least."""
    blobs: int
    """How many blobs are to be copied."""
    blobs_done: int
    blobs_lost: int
    """How many the old server did not have, or the new one did not take."""
    loss_accepted: bool
    problem: str
    """Why the background stopped; empty while it may go on."""
    said: str
    """What the server that is the reason has said."""
    worker_until_s: int
    """Until when a process has promised to copy."""
    changed_at_s: int

    @property
    def is_plc(self) -> bool:
        """Whether servers can change the DID; else it is a did:web, whose owner has to."""
        return self.did.startswith("did:plc:")


class Moves:
    """Finds, begins and changes moves. What is meant for a move does not change a later one."""

    def __init__(self, db: Database, *, clock: Clock) -> None:
        """Create the table if necessary."""
        self._db = db
        self._clock = clock
        db.run(_SCHEMA)

    def find(self, did: str) -> Move | None:
        """Return the move of an account."""
        found = self._select("did = ?", did)
        return found[0] if found else None

    def of_device(self, device_id: str) -> list[Move]:
        """Return the moves that a browser has begun, and of which there is no account here yet."""
        return self._select("deviceId = ? AND isIn AND step = 'details'", device_id)

    def list_unattended(self) -> list[Move]:
        """Return moves that no process copies although it could go on."""
        return self._select(
            "step IN ('repository', 'blobs', 'preferences') AND problem = '' AND workerUntil < ?",
            self._now_s(),
        )

    def list_cancelled(self) -> list[Move]:
        """Return moves that are being undone."""
        return self._select("step = 'cancel'")

    def list_unused_sessions(self, *, older_s: int, limit: int) -> list[Move]:
        """Return moves that are done, or whose session is older than this, and is still there."""
        return self._select(
            "session IS NOT NULL AND (sessionAt < ? OR step = 'done') LIMIT ?",
            *(self._now_s() - older_s, limit),
        )

    async def begin(
        self,
        did: Did,
        *,
        is_in: bool,
        is_return: bool = False,
        old_key: str = "",
        device_id: str,
        url: str,
        step: Step,
        session: bytes,
    ) -> bool:
        """Begin a move. False, and nothing changes, while an earlier one is under way."""
        now_s = self._now_s()
        move_id = secrets.token_hex(8)
        row = (
            *(did, move_id, is_in, is_return, old_key),
            *(device_id, url, step, session, now_s, now_s),
        )

        def begin() -> bool:
            self._db.run(
                "DELETE FROM holdfast_move WHERE did = ? AND step IN ('details', 'done')", (did,)
            )
            begun = self._db.value(
                "INSERT INTO holdfast_move (did, id, isIn, isReturn, oldKey, deviceId, url, step,"
                " session, sessionAt, rev, blobs, blobsDone, blobsLost, lossAccepted, problem,"
                " said, worker, workerUntil, changedAt)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0, 0, 0, '', '', '', 0, ?)"
                " ON CONFLICT (did) DO NOTHING RETURNING 1",
                row,
            )
            return begun is not None

        return await write(self._db, begin)

    async def advance(self, move: Move, before: Step, after: Step, *, worker: str = "") -> bool:
        """Make `after` the next step. False, and nothing changes, unless it is `before`.

        Nor while another than `worker` has claimed the last question.
        """

        def change() -> bool:
            now_s = self._now_s()
            changed = self._db.value(
                "UPDATE holdfast_move SET step = ?, problem = '', said = '', changedAt = ?"
                " WHERE did = ? AND id = ? AND step = ?"
                " AND (step <> 'code' OR worker = ? OR workerUntil < ?) RETURNING 1",
                (after, now_s, move.did, move.id, before, worker, now_s),
            )
            return changed is not None

        return await write(self._db, change)

    async def set_session(self, move: Move, session: bytes | None) -> None:
        """Keep another session at the other server; None to keep none."""
        # No change of the move: one that never goes on is forgotten with its session.
        sql = "UPDATE holdfast_move SET session = ?, sessionAt = ? WHERE did = ? AND id = ?"
        values = (session, self._now_s(), move.did, move.id)
        await write(self._db, lambda: self._db.run(sql, values))

    async def set_copied(self, move: Move, *, rev: str, blobs: int) -> None:
        """Note what there is to copy."""
        changes = "rev = ?, blobs = ?, blobsDone = 0, blobsLost = 0, lossAccepted = 0"
        await self._update(move, changes, rev, blobs)

    async def set_progress(self, move: Move, *, done: int, lost: int) -> None:
        """Note how many blobs have been copied."""
        await self._update(move, "blobsDone = ?, blobsLost = ?", done, lost)

    async def accept_loss(self, move: Move) -> None:
        """Note that the person goes on without the blobs that are lost."""
        await self._update(move, "lossAccepted = 1")

    async def set_problem(self, move: Move, problem: str, said: str = "") -> None:
        """Note why the background stopped; an empty `problem` lets it go on."""
        await self._update(move, "problem = ?, said = ?", problem, said)

    async def claim(self, move: Move, worker: str, *, for_s: int) -> bool:
        """Promise to work on it for some seconds. False if another has, or the move is over."""
        now_s = self._now_s()

        def claim() -> bool:
            claimed = self._db.value(
                "UPDATE holdfast_move SET worker = ?, workerUntil = ?"
                " WHERE did = ? AND id = ? AND (worker = ? OR workerUntil < ?) RETURNING 1",
                (worker, now_s + for_s, move.did, move.id, worker, now_s),
            )
            return claimed is not None

        return await write(self._db, claim)

    async def release(self, move: Move, worker: str) -> None:
        """End such a promise."""
        await write(
            self._db,
            lambda: self._db.run(
                "UPDATE holdfast_move SET worker = '', workerUntil = 0"
                " WHERE did = ? AND id = ? AND worker = ?",
                (move.did, move.id, worker),
            ),
        )

    async def release_all(self) -> None:
        """End the promises of processes that have ended; call it before the first request."""
        sql = "UPDATE holdfast_move SET worker = '', workerUntil = 0 WHERE worker <> ''"
        await write(self._db, lambda: self._db.run(sql))

    async def forget_old(self, *, older_s: int) -> None:
        """Forget older moves that are done or never went on, and have no session."""
        sql = (
            "DELETE FROM holdfast_move"
            " WHERE step IN ('done', 'details') AND session IS NULL AND changedAt < ?"
        )
        await write(self._db, lambda: self._db.run(sql, (self._now_s() - older_s,)))

    async def forget(self, move: Move) -> None:
        """Forget a move. An unknown one is ignored."""
        sql = "DELETE FROM holdfast_move WHERE did = ? AND id = ?"
        await write(self._db, lambda: self._db.run(sql, (move.did, move.id)))

    def erase(self, did: Did) -> None:
        """Forget the move of an account that is deleted, inside a transaction."""
        self._db.run("DELETE FROM holdfast_move WHERE did = ?", (did,))

    async def _update(self, move: Move, changes: str, *values: Any) -> None:
        await write(
            self._db,
            lambda: self._db.run(
                f"UPDATE holdfast_move SET {changes}, changedAt = ? WHERE did = ? AND id = ?",
                (*values, self._now_s(), move.did, move.id),
            ),
        )

    def _select(self, where: str, *values: Any) -> list[Move]:
        rows = self._db.all(f"SELECT {_COLUMNS} FROM holdfast_move WHERE {where}", values)
        return [_move_of(row) for row in rows]

    def _now_s(self) -> int:
        return int(self._clock())


def _move_of(row: tuple[Any, ...]) -> Move:
    did, id_, is_in, is_return, old_key, device_id, url, step, session, *rest = row
    rev, blobs, done, lost, accepted, *last = rest
    return Move(
        *(did, id_, bool(is_in), bool(is_return), old_key, device_id, url, Step(step), session),
        *(rev, blobs, done, lost, bool(accepted), *last),
    )
