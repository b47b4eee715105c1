"""The running server on this machine, as an operator's command calls it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL

from pds.cli.failures import CommandFailed
from pds.config import Settings

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_CONNECT_S: Final = 10.0
_TIMEOUT_S: Final = 300.0
"""Deleting an account with many files takes a while."""


class RunningServer:
    """The server that holds the data directory, called over HTTP on this machine."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"http://{_local_host(settings.bind_address)}:{settings.service.port}"
        credentials = base64.b64encode(f"admin:{settings.secrets.admin_password}".encode())
        self._invites_required = settings.invites.required
        self._admin = {"Authorization": f"Basic {credentials.decode()}"}

    async def call(self, nsid: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call a procedure as the administrator. Raises `CommandFailed` with its message."""
        return await self._send("POST", f"/xrpc/{nsid}", body)

    async def create_account(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create an account as anyone may, with a new invite code if one is needed."""
        if self._invites_required:
            made = await self.call("com.atproto.server.createInviteCode", {"useCount": 1})
            body = {**body, "inviteCode": made["code"]}
        path = "/xrpc/com.atproto.server.createAccount"
        return await self._send("POST", path, body, as_admin=False)

    async def ask(
        self,
        verb: str,
        path: str,
        *,
        names: Mapping[str, str] = _NOTHING,
        query: Mapping[str, str] = _NOTHING,
        body: dict[str, Any] | AsyncIterable[bytes] | None = None,
    ) -> dict[str, Any]:
        """Call one of the operator's routes. Raises `CommandFailed` as `call` does.

        Sending a body of bytes has no time limit.
        """
        filled = path.format_map({name: quote(value, safe=":") for name, value in names.items()})
        return await self._send(verb, f"{filled}?{urlencode(query)}" if query else filled, body)

    async def _send(
        self,
        verb: str,
        path: str,
        body: dict[str, Any] | AsyncIterable[bytes] | None,
        *,
        as_admin: bool = True,
    ) -> dict[str, Any]:
        is_json = isinstance(body, dict)
        sent: dict[str, Any] = {"json": body} if is_json else {"data": body}
        total_s = _TIMEOUT_S if is_json or body is None else None
        timeout = aiohttp.ClientTimeout(total=total_s, connect=_CONNECT_S)
        headers = self._admin if as_admin else {}
        # Already encoded: the DID of a did:web may contain a percent sign.
        url = URL(f"{self._url}{path}", encoded=True)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.request(verb, url, headers=headers, **sent) as response,
            ):
                output = await response.read()
                # Many procedures succeed without an output.
                answer: dict[str, Any] = orjson.loads(output) if output else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            # A timeout has no message of its own.
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
