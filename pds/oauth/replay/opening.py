"""Opening the replay store of a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from database.errors import DatabaseError
from database.timestamps import Clock
from pds.oauth.replay.fallback import FallbackReplays
from pds.oauth.replay.sqlite import SqliteReplays
from pds.oauth.replay.store import ReplayStore

if TYPE_CHECKING:
    from redis.asyncio import Redis

_log = structlog.get_logger(__name__)


def open_replays(path: Path, redis: Redis | None, *, clock: Clock) -> ReplayStore:
    """Return a store in Redis if there is one, else in the file `path`.

    While either fails, the next one of Redis, file and memory takes its place.
    """
    here = _open_file(path, clock)
    if redis is None:
        return here
    from pds.oauth.replay.redis import RedisReplays  # Imports the client library.

    return FallbackReplays(RedisReplays(redis), here, name="Redis")


def _open_file(path: Path, clock: Clock) -> ReplayStore:
    in_memory = SqliteReplays.in_memory(clock=clock)
    try:
        in_file = SqliteReplays.open(path, clock=clock)
    except DatabaseError as exc:
        _log.error("used proofs are in memory until the next start", error=str(exc))
        return in_memory
    return FallbackReplays(in_file, in_memory, name=path.name)
