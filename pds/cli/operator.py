"""What an operator's commands do: through the running server, or on the files if none runs.

A running server holds the data directory and hears of nothing that another process writes to
it, so commands that change something ask the server, as the administrator.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pds.cli.failures import CommandFailed, note
from pds.config import Settings
from pds.disk.data_directory import (
    DataDirectoryHeld,
    DataDirectoryLock,
    find_holder,
    make_directories,
)
from pds.disk.other_server import refuse_other_server

if TYPE_CHECKING:
    from pds.cli.running_server import RunningServer
    from pds.context import AppContext

T = TypeVar("T")


async def on_server(settings: Settings, running: Callable[[RunningServer], Awaitable[T]]) -> T:
    """Carry a command out that only a running server can. Raises `CommandFailed` if there is none.

    Its password goes to nobody else: the data directory must be held.
    """
    if find_holder(settings.data_directory) is None:
        raise CommandFailed(
            f"No server holds the data directory {settings.data_directory}, and only a running one "
            "can answer. Start it, or set PDS_DATA_DIRECTORY to that of the server that you mean."
        )
    from pds.cli.running_server import RunningServer

    return await running(RunningServer(settings))


async def on_server_or_files(
    settings: Settings,
    *,
    running: Callable[[RunningServer], Awaitable[T]],
    stopped: Callable[[AppContext], Awaitable[T]],
) -> T:
    """Carry a command out by `running` if a server holds the data directory, else by `stopped`."""
    try:
        lock = DataDirectoryLock.acquire(settings.data_directory)
    except DataDirectoryHeld:
        from pds.cli.running_server import RunningServer

        return await running(RunningServer(settings))
    try:
        _refuse_root(settings)
        refuse_other_server(settings)
        if lock.made_directory:
            _warn_of_new(settings)
        return await _on_files(settings, stopped)
    finally:
        lock.release()


def _refuse_root(settings: Settings) -> None:
    """Raise `CommandFailed` if root would make files for another user's server.

    They are for root alone, so that the server could not even start.
    """
    if os.geteuid() != 0:
        return
    database = settings.account_db_path
    uid = (database if database.exists() else settings.data_directory).stat().st_uid
    if uid == 0:
        return
    try:
        owner = pwd.getpwuid(uid).pw_name
    except KeyError:
        owner = f"#{uid}"
    raise CommandFailed(
        f"The files of the server belong to {owner}, who could not use what root makes. Repeat the "
        f"command as that user, for example after sudo --user='{owner}', or start the server first."
    )


def _warn_of_new(settings: Settings) -> None:
    note(
        f"the data directory {settings.data_directory.absolute()} was not there and is made. If "
        "accounts should be in it, mount its disk or correct PDS_DATA_DIRECTORY."
    )


async def _on_files(settings: Settings, stopped: Callable[[AppContext], Awaitable[T]]) -> T:
    # The whole server takes half a second to import, which the other commands need not wait for.
    from identity.plc import UNREACHABLE_STATUS, PlcError
    from pds.context import open_app_context
    from pds.monitoring.logs import configure_logs
    from pds.recovery.start import recover

    # The command's own message tells what matters, and its output is for other programs.
    configure_logs(level="error")
    make_directories(settings)
    ctx = await open_app_context(settings, recover)
    try:
        return await stopped(ctx)
    except PlcError as exc:
        if exc.status != UNREACHABLE_STATUS:
            raise
        raise CommandFailed(
            f"The PLC directory {ctx.plc.url} does not answer: {exc.message}. The directory of "
            "`pds dev` runs inside that server: start it and repeat the command. For any other, "
            "check PDS_DID_PLC_URL."
        ) from exc
    finally:
        await ctx.close()
