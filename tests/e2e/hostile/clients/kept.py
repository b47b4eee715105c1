"""Connections that are kept for as long as the server lets them be, and opened anew when lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from tests.e2e.hostile.attack import ATTACKING


async def keep(
    host: str,
    port: int,
    connections: int,
    *,
    request: bytes = b"",
    addresses: Sequence[str] = (),
    pause_s: float,
    life_s: float,
) -> None:
    """Send `request` on each of them, from these `addresses` in turn. Ends after `life_s`."""
    made = 0
    all_made = asyncio.Event()

    async def hold(address: tuple[str, int] | None) -> None:
        nonlocal made
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port, local_addr=address)
                writer.write(request)
                made += 1
                if made >= connections:
                    all_made.set()
                await reader.read()
                writer.close()
            await asyncio.sleep(pause_s)

    with suppress(TimeoutError):
        async with asyncio.timeout(life_s), asyncio.TaskGroup() as tasks:
            for number in range(connections):
                address = (addresses[number % len(addresses)], 0) if addresses else None
                tasks.create_task(hold(address))
            await all_made.wait()
            print(ATTACKING, flush=True)  # noqa: T201 (the signal)
