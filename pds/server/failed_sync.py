"""What a server does when the disk has failed to take a file that all accounts need: it ends.

Only a start knows what is in the file, because it reads that from the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from database.durability import Durability
from database.errors import DatabaseUnsynced
from pds.peers.calls import HasPeers, telling, told

if TYPE_CHECKING:
    from pds.context import AppContext

_log = structlog.get_logger(__name__)


class _Context(HasPeers, Protocol):
    durability: Durability


def end_after_failed_sync(ctx: AppContext, end: Callable[[DatabaseUnsynced], None]) -> None:
    """Call `end` once a sync has failed that does not concern one account only."""

    def note(database: Path, failure: DatabaseUnsynced) -> None:
        if ctx.actor_store.layout.find_did(database) is None:
            _log.critical("stopping, because the disk has failed", reason=str(failure))
            end(failure)

    ctx.durability.on_failure(note)


def tell_first_of_failed_sync(ctx: AppContext) -> None:
    """Let the first process end the server when a sync of this worker has failed."""

    def tell(failure: DatabaseUnsynced) -> None:
        if ctx.peers.first is not None:
            ctx.peers.first.tell(telling(take_failure, failure))

    end_after_failed_sync(ctx, tell)


@told
def take_failure(ctx: _Context, failure: DatabaseUnsynced) -> None:
    """Take a failed sync of another process for one of this one."""
    ctx.durability.fail(failure)
