"""Opening a replica to read from it: its place, credentials, and what opens its signing keys."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pds.cli.failures import CommandFailed
from pds.replication.copies.sealing import KeyOpener, open_with_identity, open_with_passphrase
from pds.replication.errors import WrongKeySecret
from pds.replication.replica.manifest import RECIPIENT, read_manifest
from pds.replication.replica.opening import open_place
from pds.replication.replica.url import ReplicaUrl

if TYPE_CHECKING:
    from pds.replication.replica.place import ReplicaPlace

_PREFIXES: Final = ("AWS_", "LITESTREAM_")
"""How the names of variables begin that say how a place is reached."""
_BOTH: Final = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
_MAX_IDENTITY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class OpenReplica:
    """A replica that can be read."""

    place: ReplicaPlace
    source: str
    """Its URL, without secrets."""
    opener: KeyOpener | None
    """Opens its keys; None if they are in the clear, or if nothing that was given opens them."""
    lacks_identity: bool
    """Whether its keys are sealed for an identity that was not given."""


@asynccontextmanager
async def open_replica(
    url: str, variables: Mapping[str, str], *, identity: Path | None, opens_keys: bool = True
) -> AsyncIterator[OpenReplica]:
    """Open the replica at `url` for an `async with` block.

    `variables` have the passphrase and credentials; `identity` is a file of age's. Without
    `opens_keys` neither is needed. Raises `ReplicationError`s, such as `WrongKeySecret`, and
    `CommandFailed`.
    """
    environ = replica_environ(variables)
    address = ReplicaUrl.parse(url, environ=environ)
    opened = None if identity is None else open_with_identity(_read_identity(identity))
    place = open_place(address, environ=environ)
    try:
        manifest = await read_manifest(place) if opens_keys else None
        lacks_identity = False
        recipient = None if manifest is None else manifest.recipient
        if opened is not None and recipient is not None and not opened.is_for(recipient):
            raise WrongKeySecret(
                f"{identity} has another identity than that of {recipient}, for which the signing "
                "keys in the replica are encrypted"
            )
        if opened is None and manifest is not None:
            if manifest.sealing == RECIPIENT:
                lacks_identity = True
            else:
                passphrase = variables.get("PDS_REPLICATION_KEY_PASSPHRASE")
                opened = await open_with_passphrase(manifest.key_sealing, passphrase)
        yield OpenReplica(place, str(address), opened, lacks_identity)
    finally:
        await place.close()


def replica_environ(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a replica: this process's, with credentials of a settings file.

    LITESTREAM_… wins over AWS_…, which may be the credentials of the blobs' bucket.
    """
    of_file = {name: value for name, value in variables.items() if name.startswith(_PREFIXES)}
    environ = {**os.environ, **of_file}
    own = {name: environ.get(f"LITESTREAM_{name}") for name in _BOTH}
    if all(own.values()):
        environ |= {f"AWS_{name}": value for name, value in own.items() if value}
    return environ


def _read_identity(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MAX_IDENTITY_BYTES + 1)
    try:
        if len(data) <= _MAX_IDENTITY_BYTES:
            return data.decode()
    except UnicodeDecodeError:
        pass
    raise CommandFailed(f"{path} is no identity file of age.")
