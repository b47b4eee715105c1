"""Imports a large repository of tiny records, whose tree and signature are right, again and again.

    python -m tests.e2e.hostile.clients.large_repos URL PLC_URL HANDLE RECORDS

Moves an account in for it, whose DID and key are its own.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from typing import Any, Final

import aiohttp

from identity.plc_data import PlcData
from identity.plc_operation import PlcOperation
from pds.service_auth.jwt import create_service_jwt
from repo import dagcbor
from repo.car import encode_car
from repo.cid import Cid
from repo.commit import sign_commit
from repo.keys import K256PrivateKey
from repo.mst import build_blocks
from tests.e2e.hostile.attack import ATTACKING

_ENDS_AFTER_S: Final = 120.0
_COLLECTION: Final = "com.example.n"
_REV: Final = "3jui7kd54zh2y"


def large_repo(did: str, key: K256PrivateKey, records: int) -> bytes:
    """A CAR of so many records, none of which is equal to another."""
    encoded = [dagcbor.encode({"$type": _COLLECTION, "n": n}) for n in range(records)]
    blocks = [(Cid.of_dag_cbor(block), block) for block in encoded]
    keys = ((f"{_COLLECTION}/{n:07}", cid) for n, (cid, _) in enumerate(blocks))
    nodes = list(build_blocks(keys))
    commit = sign_commit(did, data=nodes[-1][0], rev=_REV, key=key)
    return encode_car([commit.cid], [(commit.cid, commit.block), *nodes, *blocks])


async def _make_account(
    http: aiohttp.ClientSession, url: str, plc_url: str, handle: str, key: K256PrivateKey
) -> Any:
    did_key = key.public.did_key
    data = PlcData((did_key,), {"atproto": did_key}, (f"at://{handle}",), {})
    operation = PlcOperation.sign(data, prev=None, key=key)
    did = operation.did()
    (await http.post(f"{plc_url}/{did}", json=operation.to_json())).raise_for_status()
    server = await (await http.get(f"{url}/xrpc/com.atproto.server.describeServer")).json()
    nsid, now_s = "com.atproto.server.createAccount", int(time.time())
    token = create_service_jwt(key, iss=did, aud=server["did"], lxm=nsid, now_s=now_s)
    created = await http.post(
        f"{url}/xrpc/{nsid}",
        json={
            "did": did,
            "handle": handle,
            "email": f"{handle}@example.com",
            "password": "hunter2hunter",
        },
        headers={"Authorization": f"Bearer {token}"},
    )
    created.raise_for_status()
    return await created.json()


async def _attack(url: str, plc_url: str, handle: str, records: int) -> None:
    """Import until killed, or for some minutes."""
    key = K256PrivateKey.generate()
    async with aiohttp.ClientSession() as http:
        session = await _make_account(http, url, plc_url, handle, key)
        car = large_repo(session["did"], key, records)
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
                assert reply.status in (200, 503), await reply.text()


if __name__ == "__main__":
    _url, _plc_url, _handle, _records = sys.argv[1:]
    asyncio.run(_attack(_url, _plc_url, _handle, int(_records)))
