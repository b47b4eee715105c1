"""Uploads, and what is kept of them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from tests.pds.conftest import Account, Pds, Reply

GET_BLOB = "com.atproto.sync.getBlob"
LIST_BLOBS = "com.atproto.sync.listBlobs"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(60))


async def uploaded(pds: Pds, account: Account, data: bytes = PNG, kind: str = "image/png") -> Any:
    """Upload, and return the typed blob to be put into a record."""
    reply = await pds.upload(account, BytesIO(data), kind)
    assert reply.status == 200, reply.body
    return reply.json["blob"]


async def fetch(pds: Pds, account: Account, blob: Any, headers: Any = None) -> Reply:
    """com.atproto.sync.getBlob."""
    return await pds.get(GET_BLOB, headers, did=account.did, cid=blob["ref"]["$link"])


async def listed(pds: Pds, account: Account, **params: Any) -> list[str]:
    """com.atproto.sync.listBlobs."""
    cids: list[str] = (await pds.get(LIST_BLOBS, did=account.did, **params)).json["cids"]
    return cids


def files(pds: Pds) -> list[Path]:
    """Every file of the blob store: permanent, temporary, in quarantine."""
    root = pds.ctx.settings.blob_directory
    assert root is not None
    return [path for path in root.rglob("*") if path.is_file()]
