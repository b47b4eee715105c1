"""The PLC directory that the accounts of the reference's data live in."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp.test_utils import TestServer

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.dev.plc_directory import plc_application
from pds.dev.plc_store import PlcStore
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.reference import data


def import_logs(store: PlcStore) -> None:
    """Enter every PLC operation of the accounts, as it was signed."""
    for did, account in json.loads(data.PLC_FILE.read_text()).items():
        for operation in account["log"]:
            store.append(Did(did), PlcOperation.parse(operation))


def move(store: PlcStore, did: Did, endpoint: str) -> None:
    """Let a DID say that its server is at `endpoint`, by an operation of the server's own key."""
    secret = data.manifest()["secrets"]["plcRotationKeyK256PrivateKeyHex"]
    last = store.find_last(did)
    assert last is not None
    assert isinstance(last.data, PlcData)
    service = PlcService("AtprotoPersonalDataServer", endpoint)
    moved = replace(last.data, services={"atproto_pds": service})
    key = K256PrivateKey.from_bytes(bytes.fromhex(secret))
    store.append(did, PlcOperation.sign(moved, prev=last.cid, key=key))


@contextmanager
def directory_of(path: Path) -> Iterator[str]:
    """Serve the PLC directory in the file `path` from a thread of its own; gives its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[PlcStore, TestServer]:
        # Opened in the thread that uses it.
        store = PlcStore(path)
        server = TestServer(plc_application(store))
        await server.start_server()
        return store, server

    async def stop(store: PlcStore, server: TestServer) -> None:
        await server.close()
        store.close()

    store, server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"http://localhost:{server.port}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(store, server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
