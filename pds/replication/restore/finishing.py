"""Recovery before the first start, so that the operator sees at once whether the server can start.

It makes the restored files agree: the log gets a `#sync` for every account whose store is not what
consumers know, and continues above every seq that they may have seen. The first start would do the
same. `holdfast.run` is not in a replica, and without it every store is compared with the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from pds.disk.data_directory import DataDirectoryLock, make_directories
from pds.replication.restore.marker import refuse_unfinished

if TYPE_CHECKING:
    from pds.config import Settings

Recover: TypeAlias = Callable[["Settings"], Awaitable[None]]
"""Opens the files of a server as its start does, with recovery, and closes them.

The caller holds the lock of the data directory. The command line hands one in, because
`pds.server.in_process`, whose `open_in_process` does just that, lies above this room::

    async def recover(settings: Settings) -> None:
        async with open_in_process(settings):
            pass
"""


async def finish(settings: Settings, recover: Recover) -> None:
    """Run recovery on a restored server; `settings` name the directories it was restored to.

    Raises `OtherRestore` if the restore is not complete, `DataDirectoryError`s, and what `recover`
    raises, such as `ConfigError` and `DatabaseError`: then the restored files stay as they are,
    and the first start does it.
    """
    lock = DataDirectoryLock.acquire(settings.data_directory)
    try:
        refuse_unfinished(settings.data_directory)
        make_directories(settings)
        await recover(settings)
    finally:
        lock.release()
