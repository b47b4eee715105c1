"""How an operator's commands reach the server: the running one, or its files if none runs.

A running server locks the data directory and does not notice what another process writes to
it, so commands that change something call it, as the administrator. If none runs, the same
handlers carry out the calls in this process, on the files.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pwd
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from database.collector import without_collector
from pds.cli.entryway import refuse_on_files
from pds.cli.failures import CommandFailed, note
from pds.config import Settings
from pds.disk.data_directory import (
    DataDirectoryHeld,
    DataDirectoryLock,
    find_holder,
    make_directories,
)
from pds.disk.other_server import refuse_other_server
from pds.replication.restore.marker import refuse_unfinished

T = TypeVar("T")


class Server(Protocol):
    """Takes an operator's calls. Methods raise what `operate` turns into messages."""

    async def call(self, nsid: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call a procedure as the administrator."""
        ...

    async def create_account(self, body: dict[str, Any]) -> dict[str, Any]:
        """Call `com.atproto.server.createAccount`; `body` needs no invite code."""
        ...

    async def ask(
        self,
        verb: str,
        path: str,
        *,
        names: Mapping[str, str] = ...,
        query: Mapping[str, str] = ...,
        body: dict[str, Any] | AsyncIterable[bytes] | None = None,
    ) -> dict[str, Any]:
        """Call a route of `pds.web.operator`, with `names` as the values of its variables."""
        ...


def operate(
    settings: Settings,
    work: Callable[[Server], Awaitable[T]],
    *,
    asks_entryway_for: str | None = None,
) -> T:
    """Do `work` with the server that holds the data directory, or if none does, on its files.

    `asks_entryway_for`, a plural, names what only a running server can ask an entryway for.
    """
    return asyncio.run(_operate(settings, work, asks_entryway_for))


def operate_running(settings: Settings, work: Callable[[Server], Awaitable[T]]) -> T:
    """Do `work` that only a running server can. Raises `CommandFailed` if there is none.

    The data directory must be locked, so that the password goes only to the server.
    """
    if find_holder(settings.data_directory) is None:
        raise CommandFailed(
            f"No server holds the data directory {settings.data_directory}, and only a running one "
            "can answer. Start it, or set PDS_DATA_DIRECTORY to that of the server that you mean."
        )
    return asyncio.run(_on_server(settings, work))


async def _operate(
    settings: Settings, work: Callable[[Server], Awaitable[T]], asks_entryway_for: str | None
) -> T:
    try:
        lock = DataDirectoryLock.acquire(settings.data_directory)
    except DataDirectoryHeld:
        return await _on_server(settings, work)
    try:
        _refuse_root(settings)
        refuse_other_server(settings)
        refuse_unfinished(settings.data_directory)
        if lock.made_directory:
            _warn_of_new(settings)
        if asks_entryway_for is not None:
            refuse_on_files(settings, asks_entryway_for)
        return await _on_files(settings, work)
    finally:
        lock.release()


async def _on_server(settings: Settings, work: Callable[[Server], Awaitable[T]]) -> T:
    from pds.cli.running_server import RunningServer

    return await work(RunningServer(settings))


async def _on_files(settings: Settings, work: Callable[[Server], Awaitable[T]]) -> T:
    # The whole server takes half a second to import, for which other commands need not wait.
    with without_collector():
        from identity.plc import UNREACHABLE_STATUS, PlcError
        from pds.monitoring.logs import configure_logs
        from pds.server.in_process import CallRefused, open_in_process

    # The command's own message says what matters, and its output is for other programs.
    configure_logs(level="error")
    make_directories(settings)
    async with open_in_process(settings) as server:
        # Everything imported and opened stays to the end: spare the collector from scanning it.
        gc.freeze()
        try:
            return await work(server)
        except CallRefused as exc:
            raise CommandFailed(str(exc)) from exc
        except PlcError as exc:
            if exc.status != UNREACHABLE_STATUS:
                raise
            raise CommandFailed(
                f"The PLC directory {settings.identity.plc_url} does not answer: {exc.message}. "
                "The directory of `pds dev` runs inside that server: start it and repeat the "
                "command. For any other, check PDS_DID_PLC_URL."
            ) from exc


def _refuse_root(settings: Settings) -> None:
    """Raise `CommandFailed` if root would create files for another user's server.

    Only root could use them, so that the server would not even start.
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
        f"The files of the server belong to {owner}, who could not use files that root creates. "
        f"Repeat the command as that user, for example after sudo --user='{owner}', or start the "
        "server first."
    )


def _warn_of_new(settings: Settings) -> None:
    note(
        f"the data directory {settings.data_directory.absolute()} did not exist and has been "
        "created. If accounts should be in it, mount its disk or correct PDS_DATA_DIRECTORY."
    )
