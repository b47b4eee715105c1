"""The replica's files, grouped while they are listed: one listing, whatever the number of accounts.

Names come in order, so that the files of one directory come together and only one group is in
memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from pds.replication.ltx.names import LtxFile, parse_ltx
from pds.replication.replica import names
from pds.replication.replica.place import StoredFile
from pds.replication.restore.patience import PatientReader

_STORE: Final = "/store.sqlite"
_KEY: Final = "key"
_CHUNK: Final = 1_000
"""Most blobs in one group."""


@dataclass(slots=True)
class ActorGroup:
    """The files of one account's directory."""

    did: str
    database: list[LtxFile] = field(default_factory=list)
    keys: list[StoredFile] = field(default_factory=list)
    """The signing key, encrypted or in the clear; both if the operator has changed that."""


@dataclass(slots=True)
class BlobGroup:
    """Some blobs of one account: permanent ones, or those in quarantine."""

    did: str
    in_quarantine: bool
    blobs: list[StoredFile] = field(default_factory=list)


async def iter_actors(reader: PatientReader, prefix: str = "") -> AsyncGenerator[ActorGroup, None]:
    """Yield the accounts that the replica knows, with their files, in no particular order.

    Files that are in no place of an account are left out. `prefix` selects one account's
    directory; it ends with a slash.
    """
    group: ActorGroup | None = None
    async with aclosing(reader.list(prefix or names.ACTORS)) as files:
        async for file in files:
            place = _place_of(file.name)
            if place is None:
                continue
            did, rest = place
            if group is not None and group.did != did:
                yield group
                group = None
            group = group or ActorGroup(did)
            if rest in (_KEY, _KEY + names.SEALED):
                group.keys.append(file)
            elif (ltx := parse_ltx(file)) is not None and ltx.database.endswith(_STORE):
                group.database.append(ltx)
    if group is not None:
        yield group


async def iter_blobs(reader: PatientReader, prefix: str = "") -> AsyncGenerator[BlobGroup, None]:
    """Yield the blobs of each account, a thousand at a time, and then those in quarantine.

    `prefix` selects those of one account; it ends with a slash.
    """
    group: BlobGroup | None = None
    async with aclosing(reader.list(prefix or names.BLOBS)) as files:
        async for file in files:
            in_quarantine = file.name.startswith(names.QUARANTINE)
            rest = file.name[len(names.QUARANTINE if in_quarantine else names.BLOBS) :]
            directory, _, name = rest.partition("/")
            if not name or "/" in name:
                continue
            did = names.decode_did(directory)
            if group is not None and (
                (group.did, group.in_quarantine) != (did, in_quarantine)
                or len(group.blobs) == _CHUNK
            ):
                yield group
                group = None
            group = group or BlobGroup(did, in_quarantine)
            group.blobs.append(file)
    if group is not None:
        yield group


def _place_of(name: str) -> tuple[str, str] | None:
    """Return the DID of a file below `actors/` and its name there; None for other files."""
    parts = name.split("/", 3)
    if len(parts) < 4:
        return None
    _, shard, directory, rest = parts
    did = names.decode_did(directory)
    if hashlib.sha256(did.encode()).hexdigest()[:2] != shard:
        return None
    return did, rest
