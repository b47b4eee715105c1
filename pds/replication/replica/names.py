"""The names of files in a replica; databases lie as the top-level `litestream.yml` lays them.

<database>/ltx/<level>/<first txid>-<last txid>.ltx     level 9: snapshots; txids: 16 hex digits;
                                                        in S3 keys, Litestream has 0009 for ltx/9
account.sqlite, sequencer.sqlite, did_cache.sqlite, hold.sqlite, replication.sqlite
actors/<first 2 hex digits of the DID's SHA-256>/<did>/store.sqlite
actors/<…>/<did>/key.age, actors/reserved_keys/<did or did:key>.age    without .age: in the clear
hold.env.age                                            secrets of a server that is only a hold
blobs/<did>/<cid>, blobs/quarantine/<did>/<cid>         only for a blob store on disk
blobs/oci/sha256/<first 2 hex digits>/<hex>             layers of a hold, likewise
manifest.json, lease.json

In names, `%` of a DID is `=`, because Litestream takes URLs and decodes them.
"""

from __future__ import annotations

import hashlib
from typing import Final

from pds.replication.errors import ReplicaRefused

MANIFEST: Final = "manifest.json"
LEASE: Final = "lease.json"
ACTORS: Final = "actors/"
BLOBS: Final = "blobs/"
QUARANTINE: Final = "blobs/quarantine/"
RESERVED_KEYS: Final = "actors/reserved_keys/"
SEALED: Final = ".age"
"""How the name of an encrypted file ends."""
_MAX_PART_BYTES: Final = 255
"""The longest name of a file on most disks."""


def actor_directory(did: str) -> str:
    """Return the name of an actor's directory, without a slash at its end."""
    return f"{ACTORS}{hashlib.sha256(did.encode()).hexdigest()[:2]}/{encode_did(did)}"


def actor_database(did: str) -> str:
    """Return the name of an actor's database: its LTX files lie below."""
    return f"{actor_directory(did)}/store.sqlite"


def actor_key(did: str) -> str:
    """Return the name of an actor's signing key in the clear."""
    return f"{actor_directory(did)}/key"


def encode_did(did: str) -> str:
    """Return a DID as a part of names and of Litestream's URLs."""
    return did.replace("%", "=")


def decode_did(part: str) -> str:
    """Return the DID of a part of a name; inverse of `encode_did`."""
    return part.replace("=", "%")


def is_finished(part: str) -> bool:
    """Whether a file of a directory is whole, by its name there. Litestream's end in `.tmp`."""
    return part[0] != "." and not part.endswith(".tmp")


def checked_name(name: str) -> str:
    """Return a name that cannot lead out of a replica. Raises `ReplicaRefused` for any other.

    No part starts with a dot: such files are temporary, or locks.
    """
    parts = name.split("/")
    if (
        not name.isprintable()
        or any(not part or part[0] == "." for part in parts)
        or max(len(part.encode()) for part in parts) > _MAX_PART_BYTES
    ):
        raise ReplicaRefused(f"{name[:300]!r} cannot be the name of a file in a replica")
    return name
