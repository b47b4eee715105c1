"""The steps of a move that the server takes by itself: repository, blobs, preferences.

One process copies an account at a time: it promises to, for a minute, again and again. If it is
killed, another, or the next start, goes on with the step, which copies only what is missing.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from database.errors import DatabaseError
from pds.accounts.moves import COPYING, Move, Step
from pds.fairness.turns import TooBusy
from pds.lifecycle.migration.errors import MoveProblem, OtherServerRefused, Problem
from pds.lifecycle.migration.servers import BlobNotTaken, NewServer, OldServer
from pds.peers.link import PeerGone

if TYPE_CHECKING:
    from pds.lifecycle.migration.moving import Moving
    from repo.cid import Cid
    from repo.syntax import Did

_PROMISE_S: Final = 60
_RENEW_S: Final = 20.0
_TELL_EVERY_S: Final = 1.0
RETRY_AFTER_S: Final = (1.0, 5.0, 15.0)
"""Waits before a blob is tried again, while the other server does not answer."""
_PASSING: Final = (Problem.AWAY, Problem.SLOW)

_log = structlog.get_logger(__name__)


class Copier:
    """Copies accounts, a few at a time."""

    def __init__(self, moving: Moving) -> None:
        self._moving = moving
        self._ctx = moving.ctx
        self._moves = moving.ctx.accounts.moves
        self._started: set[Did] = set()

    def start(self, did: Did) -> None:
        """Begin to copy in the background, unless this is done or cannot be done now."""
        move = self._moves.find(did)
        if move is None or move.step not in COPYING or move.problem or did in self._started:
            return
        with suppress(TooBusy):  # A later look at the page, or the next round, tries again.
            self._ctx.later.start(self._copy(did))
            self._started.add(did)

    async def _copy(self, did: Did) -> None:
        try:
            await self.copy(did)
        except (DatabaseError, PeerGone, TooBusy) as exc:
            _log.warning("a move waits", did=did, reason=str(exc))
        finally:
            self._started.discard(did)

    async def copy(self, did: Did) -> None:
        """Take the steps until the person has to say something, or something fails."""
        worker = self._moving.worker
        async with self._ctx.copying.turn(did):
            move = self._moves.find(did)
            if move is None or not await self._moves.claim(move, worker, for_s=_PROMISE_S):
                return
            tasks = [
                asyncio.create_task(each) for each in (self._take_steps(move), self._renew(move))
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    each.result()
            except MoveProblem as exc:
                _log.info("a move stopped", did=did, problem=exc.kind, reason=exc.said)
                await self._moves.set_problem(move, exc.kind, exc.said)
            finally:
                for each in tasks:
                    each.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._moves.release(move, worker)

    async def _renew(self, move: Move) -> None:
        """Return when the move is no longer there, or somebody else's to copy."""
        claimed = True
        while claimed:
            await asyncio.sleep(_RENEW_S)
            claimed = await self._moves.claim(move, self._moving.worker, for_s=_PROMISE_S)

    async def _take_steps(self, begun: Move) -> None:
        while (
            (move := self._moves.find(begun.did)) is not None
            and move.id == begun.id
            and move.step in COPYING
        ):
            old, new = self._moving.old(move), self._moving.new(move)
            if move.step is Step.REPOSITORY:
                await self._copy_repository(move, old, new)
                following = Step.BLOBS
            elif move.step is Step.BLOBS:
                await self._copy_blobs(move, old, new)
                following = Step.PREFERENCES
            else:
                await new.put_preferences(await old.preferences())
                following = Step.REVIEW
            if not await self._moves.advance(move, move.step, following):
                return

    async def _copy_repository(self, move: Move, old: OldServer, new: NewServer) -> None:
        # Before the export: a write meanwhile is noticed, and everything is copied once more.
        rev = await old.rev()
        async with old.export() as parts:
            await new.import_repo(parts)
        await self._moves.set_copied(move, rev=rev, blobs=await new.count_missing())

    async def _copy_blobs(self, move: Move, old: OldServer, new: NewServer) -> None:
        done = lost = 0
        after: str | None = None
        told_s = time.monotonic()
        while page := await new.missing(after=after):
            for cid in page:
                if after is not None and str(cid) <= after:
                    raise MoveProblem(Problem.WRONG, "an endless list of missing blobs")
                after = str(cid)
                if await self._copy_blob(cid, old, new):
                    done += 1
                else:
                    lost += 1
                if time.monotonic() - told_s >= _TELL_EVERY_S:
                    told_s = time.monotonic()
                    await self._tell(move, done, lost)
        await self._tell(move, done, lost)

    async def _tell(self, move: Move, done: int, lost: int) -> None:
        now = self._moves.find(move.did)
        if now is None or (now.id, now.step) != (move.id, Step.BLOBS):
            raise MoveProblem(Problem.STEP)  # Somebody has cancelled the move.
        await self._moves.set_progress(move, done=done, lost=lost)

    async def _copy_blob(self, cid: Cid, old: OldServer, new: NewServer) -> bool:
        """Return whether the blob could be had and stored."""
        for wait_s in (*RETRY_AFTER_S, None):
            try:
                async with old.blob(cid) as (mime_type, parts):
                    await new.put_blob(cid, mime_type, parts)
            except (OtherServerRefused, BlobNotTaken):
                return False
            except MoveProblem as exc:
                if wait_s is None or exc.kind not in _PASSING:
                    raise
                await asyncio.sleep(wait_s)
            else:
                return True
        return False
