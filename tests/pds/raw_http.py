"""Requests that no client library would send."""

from __future__ import annotations

import asyncio

from tests.pds.conftest import Pds


async def exchange(pds: Pds, request: bytes) -> tuple[int, bytes]:
    """Send the bytes of one request and return the status and everything behind the head.

    The request must make the server close the connection, as `Connection: close` does.
    """
    host, port = pds.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        await writer.drain()
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head.split(b" ")[1]), body
