"""Permission sets, and repositories that have them."""

from __future__ import annotations

from typing import Any, Final

from repo import dagcbor
from repo.car import encode_car
from repo.cid import Cid
from repo.commit import RecordWrite, build_commit
from repo.keys import PrivateKey
from repo.mst import Mst

NSID: Final = "com.example.calendar.authFull"
COLLECTION: Final = "com.atproto.lexicon.schema"
PATH: Final = f"{COLLECTION}/{NSID}"


def permission_set(nsid: str = NSID, /, **changes: Any) -> dict[str, Any]:
    """A Lexicon whose set allows to write events."""
    main = {
        "type": "permission-set",
        "title": "Calendar",
        "permissions": [
            {
                "type": "permission",
                "resource": "repo",
                "collection": [f"{nsid.rpartition('.')[0]}.event"],
            }
        ],
        **changes,
    }
    return {"$type": COLLECTION, "lexicon": 1, "id": nsid, "defs": {"main": main}}


def proof_of(
    did: str, key: PrivateKey, record: dict[str, Any], *, path: str = PATH, others: int = 0
) -> bytes:
    """The answer of com.atproto.sync.getRecord, from a repository with `others` records more."""
    block = dagcbor.encode(record)
    paths = (path, *(f"com.example.other/{index}" for index in range(others)))
    writes = [
        RecordWrite("create", collection, rkey, Cid.of_dag_cbor(block), block)
        for collection, _, rkey in (at.partition("/") for at in paths)
    ]
    data = build_commit(
        did, tree=Mst.empty(), head=None, writes=writes, rev="3laaaaaaaaa22", key=key
    )
    return encode_car((data.cid,), data.new_blocks.items())
