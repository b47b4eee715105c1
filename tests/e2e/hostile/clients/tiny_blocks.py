"""Imports a repository of millions of tiny blocks, again and again.

    python -m tests.e2e.hostile.clients.tiny_blocks URL HANDLE MEGABYTES

Makes an account for it. Nodes name every block, but are in no tree themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import struct
import sys
import time
from typing import Final

import aiohttp

from tests.e2e.hostile.attack import ATTACKING

_ENDS_AFTER_S: Final = 120.0
_CID_START: Final = b"\x01\x71\x12\x20"
_LINKS: Final = 20_000
"""In a node: of nearly a megabyte."""


def tiny_blocks(size_bytes: int, *, linked: bool) -> bytes:
    """Blocks of a number each, as a CAR has them."""
    parts: list[bytes] = []
    size, number, cids = 0, 0, []
    while size < size_bytes:
        number += 1
        data = b"\x1a" + struct.pack(">I", 0x10000 + number)
        cid = _CID_START + hashlib.sha256(data).digest()
        parts.append(bytes((len(cid) + len(data),)) + cid + data)
        size += len(parts[-1])
        if linked:
            cids.append(b"\xd8\x2a\x58\x25\x00" + cid)
            size += len(cids[-1])
            if len(cids) == _LINKS:
                parts.append(_node(cids))
                cids = []
    return b"".join((*parts, _node(cids)) if linked else parts)


def _node(links: list[bytes]) -> bytes:
    data = b"\xa2ae" + b"".join(links) + b"al\xf6"
    cid = _CID_START + hashlib.sha256(data).digest()
    length, head = len(cid) + len(data), bytearray()
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes((length,)) + cid + data


async def _attack(url: str, handle: str, size_bytes: int) -> None:
    """Import until killed, or for some minutes."""
    async with aiohttp.ClientSession() as http:
        account = {"handle": handle, "email": f"{handle}@example.com", "password": "hunter2"}
        created = await http.post(f"{url}/xrpc/com.atproto.server.createAccount", json=account)
        session = await created.json()
        params = {"did": session["did"]}
        exported = await http.get(f"{url}/xrpc/com.atproto.sync.getRepo", params=params)
        car = await exported.read() + tiny_blocks(size_bytes, linked=True)
        headers = {
            "Authorization": f"Bearer {session['accessJwt']}",
            "Content-Type": "application/vnd.ipld.car",
        }
        print(ATTACKING, flush=True)  # noqa: T201 (the test waits for it)
        deadline = time.monotonic() + _ENDS_AFTER_S
        while time.monotonic() < deadline:
            async with http.post(
                f"{url}/xrpc/com.atproto.repo.importRepo", headers=headers, data=io.BytesIO(car)
            ) as reply:
                await reply.read()


if __name__ == "__main__":
    _url, _handle, _megabytes = sys.argv[1:]
    asyncio.run(_attack(_url, _handle, int(_megabytes) * 1_000_000))
