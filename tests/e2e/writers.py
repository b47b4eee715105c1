"""Accounts that write as fast as they can, and remember what they were promised."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from tests.processes import DevServer

NOTE = "com.example.note"


class Served(Protocol):
    """A server that answers on a URL."""

    @property
    def url(self) -> str: ...


@dataclass(slots=True)
class Writer:
    """An account, its session, and every record whose creation was answered with 200."""

    server: Served
    http: aiohttp.ClientSession
    did: str
    auth: dict[str, str]
    promised: dict[str, str] = field(default_factory=dict)
    """CIDs by `collection/rkey`."""

    @classmethod
    async def join(cls, server: Served, http: aiohttp.ClientSession, name: str) -> Writer:
        """Create an account."""
        body = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": "a password"}
        url = f"{server.url}/xrpc/com.atproto.server.createAccount"
        async with http.post(url, json=body) as response:
            made = await response.json()
            assert response.status == 200, made
        return cls(server, http, made["did"], {"Authorization": f"Bearer {made['accessJwt']}"})

    async def write(self, text: str) -> None:
        """Create one record."""
        body = {
            "repo": self.did,
            "collection": NOTE,
            "validate": False,
            "record": {"$type": NOTE, "text": text},
        }
        made = await self.post("com.atproto.repo.createRecord", body)
        self.promised[made["uri"].removeprefix(f"at://{self.did}/")] = made["cid"]

    async def write_until_the_server_ends(self) -> None:
        """Create records, one after the other, until the connection breaks."""
        try:
            while True:
                await self.write(f"note {len(self.promised)}")
        except aiohttp.ClientConnectionError:
            return

    async def post(self, nsid: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call a procedure, which must succeed."""
        url = f"{self.server.url}/xrpc/{nsid}"
        async with self.http.post(url, json=body, headers=self.auth) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == 200, answer
        return answer

    async def check_promises(self) -> None:
        """Every promised record is there, and with the promised content."""
        url = f"{self.server.url}/xrpc/com.atproto.repo.listRecords"
        found: dict[str, str] = {}
        params = {"repo": self.did, "collection": NOTE, "limit": "100"}
        while True:
            async with self.http.get(url, params=params) as response:
                page = await response.json()
                assert response.status == 200, page
            for record in page["records"]:
                found[record["uri"].removeprefix(f"at://{self.did}/")] = record["cid"]
            if not page.get("cursor"):
                break
            params["cursor"] = page["cursor"]
        assert self.promised.items() <= found.items()


async def joined(server: DevServer, http: aiohttp.ClientSession, count: int) -> list[Writer]:
    """Some new writers."""
    joining = (Writer.join(server, http, f"writer{number}") for number in range(count))
    return list(await asyncio.gather(*joining))


async def until_promised(writers: list[Writer], count: int) -> None:
    """Wait until the writers have been promised `count` records between them."""
    while sum(len(writer.promised) for writer in writers) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
