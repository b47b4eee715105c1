"""What an operator's commands do: through the running server, or on the files if none runs.

A running server holds the data directory and hears of nothing that another process writes to
it, so commands that change something ask the server, as the administrator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import aiohttp

from identity.plc import UNREACHABLE_STATUS, PlcError
from pds.config import Settings
from pds.context import AppContext
from pds.data_directory import DataDirectoryHeld, DataDirectoryLock, make_directories
from pds.logs import configure_logs

T = TypeVar("T")

_TIMEOUT_S: Final = 30.0


class OperatorError(Exception):
    """A command was refused or could not be carried out; the message is for the operator."""


class RunningServer:
    """The server that holds the data directory, called over HTTP on this machine."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"http://{_local_host(settings.service.host)}:{settings.service.port}/xrpc"
        self._auth = aiohttp.BasicAuth("admin", settings.secrets.admin_password)

    async def call(self, nsid: str, body: dict[str, Any], *, as_admin: bool) -> dict[str, Any]:
        """Call a procedure. Raises `OperatorError` with the server's message."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.post(
                    f"{self._url}/{nsid}", json=body, auth=self._auth if as_admin else None
                ) as response,
            ):
                answer: dict[str, Any] = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            raise OperatorError(
                "A server holds the data directory, but does not answer on "
                f"{self._url.removesuffix('/xrpc')}: {exc}. Check PDS_HOST and PDS_PORT."
            ) from exc
        if response.status != 200:
            raise OperatorError(f"{answer.get('error')}: {answer.get('message')}")
        return answer


async def on_server_or_files(
    settings: Settings,
    *,
    running: Callable[[RunningServer], Awaitable[T]],
    stopped: Callable[[AppContext], Awaitable[T]],
) -> T:
    """Carry a command out by `running` if a server holds the data directory, else by `stopped`."""
    # The command's own message tells what matters, and its output is for other programs.
    configure_logs(level="error")
    async with AsyncExitStack() as stack:
        try:
            lock = DataDirectoryLock.acquire(settings.data_directory)
        except DataDirectoryHeld:
            return await running(RunningServer(settings))
        stack.callback(lock.release)
        make_directories(settings)
        ctx = await AppContext.open(settings)
        stack.push_async_callback(ctx.close)
        try:
            return await stopped(ctx)
        except PlcError as exc:
            raise _explain_plc(exc, ctx.plc.url) from exc


def _explain_plc(exc: PlcError, url: str) -> Exception:
    if exc.status != UNREACHABLE_STATUS:
        return exc
    return OperatorError(
        f"The PLC directory {url} does not answer: {exc.message}. The directory of `pds dev` "
        "runs inside that server: start it and repeat the command. For any other, check "
        "PDS_DID_PLC_URL."
    )


def _local_host(bound: str) -> str:
    return "127.0.0.1" if bound in ("", "0.0.0.0") else f"[{bound}]" if ":" in bound else bound  # noqa: S104 (compared with, not bound to)
