"""Going on with moves whose process has ended, and forgetting what is no longer needed."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from database.errors import DatabaseError
from pds.fairness.turns import TooBusy
from pds.lifecycle.migration.copying import Copier
from pds.lifecycle.migration.errors import MoveProblem
from pds.lifecycle.migration.moving import Moving
from pds.peers.link import PeerGone

SESSION_S: Final = 24 * 60 * 60
"""How long a session at the other server is kept while nothing happens."""
_EVERY_S: Final = 60.0
_SESSIONS_AT_ONCE: Final = 20
"""How many sessions are ended a minute: each asks another server."""

_log = structlog.get_logger(__name__)


async def attend_moves(moving: Moving) -> None:
    """Look after the moves every minute, until cancelled."""
    copier = Copier(moving)
    while True:
        try:
            await look_after_moves(moving, copier)
        except (DatabaseError, PeerGone, TooBusy) as exc:
            _log.warning("moves wait", reason=str(exc))
        await asyncio.sleep(_EVERY_S)


async def look_after_moves(moving: Moving, copier: Copier) -> None:
    """Go on with what was interrupted, end old sessions, and forget old moves."""
    moves = moving.ctx.accounts.moves
    for move in moves.list_unused_sessions(older_s=SESSION_S, limit=_SESSIONS_AT_ONCE):
        await moving.sessions.end(move)
    await moves.forget_old(older_s=SESSION_S)
    for move in moves.list_unattended():
        copier.start(move.did)
    for move in moves.list_cancelled():
        try:
            await moving.cancel(move)
        except MoveProblem as exc:
            _log.info("the copy of an account is not deleted yet", did=move.did, reason=str(exc))
