"""From a live server into a file, served from there, and exported again: nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.pds.api.exports import read_car, signing_key, verify_export
from tests.pds.conftest import Account, Pds
from tests.pds.readonly.conftest import ReadonlyServer, StartServer
from tests.processes import run_pds

PICTURE = b"\x89PNG\r\n\x1a\n"


async def fill(pds: Pds, account: Account) -> list[str]:
    """Make some hundred records, changed and deleted ones among them, and blobs. Their CIDs."""
    blobs = []
    for number in range(3):
        reply = await pds.upload(account, PICTURE + bytes([number]))
        blobs.append(reply.json["blob"])
    images = [{"image": blob, "alt": ""} for blob in blobs]
    await pds.create_record(
        account,
        "app.bsky.feed.post",
        {
            "$type": "app.bsky.feed.post",
            "text": "pictures",
            "createdAt": "2026-01-01T00:00:00.000Z",
            "embed": {"$type": "app.bsky.embed.images", "images": images},
        },
    )
    for batch in range(3):
        writes: list[dict[str, Any]] = [
            {
                "$type": "com.atproto.repo.applyWrites#create",
                "collection": "com.example.note",
                "rkey": f"{batch}-{number}",
                "value": {"$type": "com.example.note", "n": number, "text": "ü\x00" * number},
            }
            for number in range(100)
        ]
        if batch:
            writes[0] = {
                "$type": "com.atproto.repo.applyWrites#delete",
                "collection": "com.example.note",
                "rkey": "0-50" if batch == 1 else "0-51",
            }
        reply = await pds.post(
            "com.atproto.repo.applyWrites", {"repo": account.did, "writes": writes}, account.auth
        )
        assert reply.status == 200, reply.body
    return sorted(blob["ref"]["$link"] for blob in blobs)


async def export(pds: Pds, account: Account, directory: Path) -> CompletedProcess[str]:
    options = ("--pds", pds.url, "--plc", pds.ctx.settings.identity.plc_url)
    arguments = (account.did, str(directory / "alice.car"), "--blobs", str(directory / "blobs"))
    return await asyncio.to_thread(run_pds, "car", "export", *arguments, *options)


async def start(pds: Pds, start_server: StartServer, car: Path, *options: str) -> ReadonlyServer:
    """A strict read-only server, which asks the directory of the live one."""
    env = {"PDS_DID_PLC_URL": pds.ctx.settings.identity.plc_url}
    return await asyncio.to_thread(start_server, car, "--verify", "strict", *options, **env)


async def test_an_export_of_a_live_server_comes_back_block_by_block(
    pds: Pds, alice: Account, start_server: StartServer, tmp_path: Path
) -> None:
    await fill(pds, alice)
    live = (await pds.get("com.atproto.sync.getRepo", did=alice.did)).body
    car = tmp_path / "alice.car"
    car.write_bytes(live)
    server = await start(pds, start_server, car)
    again = server.client.get("com.atproto.sync.getRepo", did=alice.did).body
    assert read_car(again) == read_car(live)
    checked = verify_export(again, alice.did, await signing_key(pds, alice.did))
    assert len(checked.records) == 300 - 4 + 1
    latest = await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)
    assert server.client.call("com.atproto.sync.getLatestCommit", did=alice.did) == latest.json


async def test_an_export_with_blobs_is_served_as_it_lies_there(
    pds: Pds, alice: Account, start_server: StartServer, tmp_path: Path
) -> None:
    cids = await fill(pds, alice)
    exported = await export(pds, alice, tmp_path)
    assert exported.returncode == 0, exported.stderr
    blobs = str(tmp_path / "blobs")
    server = await start(pds, start_server, tmp_path / "alice.car", "--blobs", blobs)
    listed = server.client.call("com.atproto.sync.listBlobs", did=alice.did)["cids"]
    assert sorted(listed) == cids
    for cid in cids:
        live = await pds.get("com.atproto.sync.getBlob", did=alice.did, cid=cid)
        served = server.client.get("com.atproto.sync.getBlob", did=alice.did, cid=cid)
        assert (served.status, served.body) == (200, live.body)
    live_repo = (await pds.get("com.atproto.sync.getRepo", did=alice.did)).body
    again = server.client.get("com.atproto.sync.getRepo", did=alice.did).body
    assert read_car(again) == read_car(live_repo)


async def test_lists_page_by_page_are_those_of_the_live_server(
    pds: Pds, alice: Account, start_server: StartServer, tmp_path: Path
) -> None:
    await fill(pds, alice)
    car = tmp_path / "alice.car"
    car.write_bytes((await pds.get("com.atproto.sync.getRepo", did=alice.did)).body)
    server = await start(pds, start_server, car)
    for collection in ("com.example.note", "app.bsky.feed.post"):
        params: dict[str, Any] = {"repo": alice.did, "collection": collection, "limit": "70"}
        while True:
            live = await pds.get("com.atproto.repo.listRecords", **params)
            assert server.client.call("com.atproto.repo.listRecords", **params) == live.json
            if "cursor" not in live.json:
                break
            params["cursor"] = live.json["cursor"]
