"""The server that runs on this machine, as an operator's command calls it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import aiohttp
import orjson
from yarl import URL

from pds.cli.failures import CommandFailed
from pds.config import Settings

_CONNECT_S: Final = 10.0
_TIMEOUT_S: Final = 300.0
"""Deleting an account with many files takes its time."""


class RunningServer:
    """The server that holds the data directory, called over HTTP on this machine."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"http://{_local_host(settings.bind_address)}:{settings.service.port}"
        credentials = base64.b64encode(f"admin:{settings.secrets.admin_password}".encode())
        self._admin = {"Authorization": f"Basic {credentials.decode()}"}

    async def call(self, nsid: str, body: dict[str, Any], *, as_admin: bool) -> dict[str, Any]:
        """Call a procedure. Raises `CommandFailed` with the server's message."""
        return await self._send("POST", f"/xrpc/{nsid}", json=body, as_admin=as_admin)

    async def get(self, path: str) -> dict[str, Any]:
        """Ask a route for the operator. Raises `CommandFailed` as `call` does."""
        return await self._send("GET", path, as_admin=True)

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Put something to a route for the operator. Raises `CommandFailed` as `call` does."""
        return await self._send("PUT", path, json=body, as_admin=True)

    async def upload(
        self, verb: str, path: str, chunks: AsyncIterable[bytes], *, content_type: str
    ) -> dict[str, Any]:
        """Send bytes to a route for the operator, however long it takes. Raises as `call` does."""
        return await self._send(
            verb,
            path,
            data=chunks,
            headers={"Content-Type": content_type},
            as_admin=True,
            total_s=None,
        )

    async def _send(
        self,
        verb: str,
        path: str,
        *,
        json: dict[str, Any] | None = None,
        data: AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        as_admin: bool,
        total_s: float | None = _TIMEOUT_S,
    ) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=total_s, connect=_CONNECT_S)
        sent = {**headers, **(self._admin if as_admin else {})}
        # Encoded already: the DID of a did:web may hold a percent sign.
        url = URL(f"{self._url}{path}", encoded=True)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.request(verb, url, json=json, data=data, headers=sent) as response,
            ):
                output = await response.read()
                # Many procedures succeed without an output.
                answer: dict[str, Any] = orjson.loads(output) if output else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            # That a time is over comes without a text.
            reason = str(exc) or "no answer in time"
            raise CommandFailed(
                "A server holds the data directory, but does not answer on "
                f"{self._url}: {reason}. Check PDS_BIND_ADDRESS and PDS_PORT."
            ) from exc
        if response.status != 200:
            if response.status == 401 and as_admin:
                raise CommandFailed(
                    "The server that runs refuses PDS_ADMIN_PASSWORD: it was started with another "
                    "one. Give its settings, or start it again with these."
                )
            told: str = answer.get("message") or answer.get("error") or f"HTTP {response.status}"
            raise CommandFailed(told)
        return answer


def _local_host(bound: str) -> str:
    return "127.0.0.1" if bound in ("", "0.0.0.0") else f"[{bound}]" if ":" in bound else bound  # noqa: S104 (compared with, not bound to)
