"""The server that runs on this machine, as an operator's command calls it."""

from __future__ import annotations

from typing import Any, Final

import aiohttp

from pds.cli.operator import OperatorError
from pds.config import Settings

_TIMEOUT_S: Final = 30.0


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


def _local_host(bound: str) -> str:
    return "127.0.0.1" if bound in ("", "0.0.0.0") else f"[{bound}]" if ":" in bound else bound  # noqa: S104 (compared with, not bound to)
