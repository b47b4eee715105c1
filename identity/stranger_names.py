"""Addresses of hosts chosen by strangers."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from identity.hosts_file import HostsFile
from identity.lookups import Lookups

MAX_ADDRESSES: Final = 8
"""Addresses tried per family."""
OTHER_FAMILY_S: Final = 0.25
"""How much longer to wait for the other family's addresses once one family's have arrived."""

_KINDS: Final = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}


class StrangerNames(AbstractResolver):
    """Resolves fully qualified names, by the hosts file and by DNS."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._hosts = HostsFile()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises `OSError` if there are none."""
        addresses = self._hosts.find(host) or await self._ask(host, family)
        found = [_result(host, port, address) for address in addresses]
        found = [result for result in found if family in (socket.AF_UNSPEC, result["family"])]
        if not found:
            raise OSError(f"{host} has no address")
        return found

    async def close(self) -> None:
        """Do nothing: no resources are held."""

    async def _ask(self, host: str, family: socket.AddressFamily) -> list[str]:
        kinds = [kind for kind, of in _KINDS.items() if family in (socket.AF_UNSPEC, of)]
        asked = [asyncio.create_task(self._ask_for(host, kind)) for kind in kinds]
        try:
            return await _first_and_soon(asked)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _ask_for(self, host: str, kind: str) -> list[str]:
        records = await self._lookups.find(host, kind)
        return [record.to_text() for record in records[:MAX_ADDRESSES]]


async def _first_and_soon(asked: list[asyncio.Task[list[str]]]) -> list[str]:
    """Return the combined results; once one query has a result, wait only briefly for the others.

    If no query has a result, raises the exception of one, if any.
    """
    pending: set[asyncio.Task[list[str]]] = set(asked)
    found: list[str] = []
    while pending:
        seconds = OTHER_FAMILY_S if found else None
        done, pending = await asyncio.wait(
            pending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            break
        found = [
            address
            for task in asked
            if task.done() and task.exception() is None
            for address in task.result()
        ]
    if not found:
        for task in asked:
            task.result()
    return found


def _result(host: str, port: int, address: str) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
