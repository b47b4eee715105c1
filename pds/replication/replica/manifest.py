"""`manifest.json`: whose replica it is, and how the signing keys in it are sealed."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

from pds.replication.errors import (
    DamagedReplicaFile,
    ForeignReplica,
    ReplicaFileMissing,
    ReplicaInUse,
    ReplicaRefused,
    ReplicaUnavailable,
)
from pds.replication.replica.names import LEASE, MANIFEST
from pds.replication.replica.place import ReplicaPlace

FORMAT: Final = 1
PASSPHRASE: Final = "passphrase"  # noqa: S105 (the name of a way)
RECIPIENT: Final = "recipient"
CLEAR: Final = "clear"
_MAX_BYTES: Final = 64 * 1024
_MOST_RETIRED: Final = 100
_ANOTHER_PLACE: Final = "replicate to another prefix or directory"


@dataclass(slots=True, frozen=True)
class Sealing:
    """How signing keys are sealed."""

    sealing: str
    """`passphrase`, `recipient` or `clear`."""
    recipient: str | None = None
    """To whom they are encrypted, `age1…`; None if they are in the clear."""
    sealed_identity: str | None = None
    """With a passphrase: the recipient's identity, encrypted with it; an armoured age file."""


@dataclass(slots=True, frozen=True)
class Manifest:
    """What a replica says of itself."""

    service_did: str
    server_id: str
    """The data directory that was replicated last."""
    sealing: str
    """See `Sealing`."""
    recipient: str | None = None
    sealed_identity: str | None = None
    replica_id: str | None = None
    """Random: another one after the place was emptied. Manifests of older programs have none."""
    retired: tuple[str, ...] = ()
    """Data directories that have been replaced by a promoted standby: see `retire`."""
    format: int = FORMAT

    @property
    def key_sealing(self) -> Sealing:
        """How signing keys are sealed."""
        return Sealing(self.sealing, self.recipient, self.sealed_identity)

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Read a manifest. Raises `DamagedReplicaFile`, and `ReplicaRefused` for a later format."""
        try:
            fields: Any = orjson.loads(data)
        except orjson.JSONDecodeError as exc:
            raise DamagedReplicaFile(f"{MANIFEST} of the replica is no JSON: {_REMEDY}") from exc
        version = fields.get("format") if isinstance(fields, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise ReplicaRefused(
                f"the replica has format {version}, which is newer than this program: update it"
            )
        texts = ("service_did", "server_id", "sealing")
        choices = ("recipient", "sealed_identity", "replica_id")
        retired = fields.get("retired", []) if isinstance(fields, dict) else None
        if (
            version != FORMAT
            or not all(isinstance(fields.get(name), str) for name in texts)
            or not all(isinstance(fields.get(name), str | None) for name in choices)
            or fields["sealing"] not in {PASSPHRASE, RECIPIENT, CLEAR}
            or not isinstance(retired, list)
            or not all(isinstance(one, str) for one in retired)
            or (fields["sealing"] != CLEAR and not fields.get("recipient"))
            or (fields["sealing"] == PASSPHRASE and not fields.get("sealed_identity"))
        ):
            raise DamagedReplicaFile(f"{MANIFEST} of the replica is no manifest: {_REMEDY}")
        found = {name: fields.get(name) for name in (*texts, *choices)}
        return cls(**found, retired=tuple(retired))

    def encode(self) -> bytes:
        """Return the manifest's JSON; inverse of `decode`."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


_REMEDY: Final = f"restore it from a version or copy of the place, or {_ANOTHER_PLACE}"

Sealer = Callable[[Sealing | None], Awaitable[Sealing]]
"""Returns how keys are to be sealed, where a replica seals them in some way or is new (None)."""


async def read_manifest(place: ReplicaPlace) -> Manifest | None:
    """Return the manifest of a replica; None if it has none, as those of plain Litestream.

    Raises what `Manifest.decode` and `ReplicaPlace.read` raise.
    """
    try:
        return Manifest.decode(await place.read(MANIFEST, max_bytes=_MAX_BYTES))
    except ReplicaFileMissing:
        return None


async def check_replica(
    place: ReplicaPlace, *, service_did: str, server_id: str | None = None
) -> Manifest | None:
    """Return the manifest of a server's replica; None if the place is empty. Changes nothing.

    Raises `ForeignReplica` if the place is another server's, or has other files, and `ReplicaInUse`
    if the data directory `server_id` has been replaced by a standby.
    """
    manifest = await read_manifest(place)
    if manifest is None:
        await _require_empty(place)
    elif manifest.service_did != service_did:
        raise ForeignReplica(
            f"the place holds the replica of {manifest.service_did}, and this server is "
            f"{service_did}: {_ANOTHER_PLACE}"
        )
    elif server_id in manifest.retired:
        raise ReplicaInUse(
            "a standby has taken the place of this server, which must not run any more: two "
            "servers with one identity contradict each other. If it is to replace the other one in "
            "turn, move its data directory away, and make a standby of the other one here"
        )
    return manifest


async def join_replica(
    place: ReplicaPlace, *, service_did: str, server_id: str, seal: Sealer
) -> Manifest:
    """Make the manifest of an empty place, or check and update that of an older replica.

    Call `check_replica` before the lease is acquired, and this while it is held. Raises what
    `check_replica` and `seal` raise.
    """
    before = await check_replica(place, service_did=service_did, server_id=server_id)
    if before is None:
        sealing = await seal(None)
        replica_id = secrets.token_hex(8)
        manifest = Manifest(service_did, server_id, **asdict(sealing), replica_id=replica_id)
        await _write(place, manifest, before=None)
        return manifest
    sealing = await seal(before.key_sealing)
    if sealing != before.key_sealing:
        # Older keys would stay sealed as they are, and no restore could open both.
        raise ReplicaRefused(
            f"the keys in the replica are sealed in another way ({before.sealing}, "
            f"{before.recipient or 'no recipient'}): set that again, or {_ANOTHER_PLACE}"
        )
    if before.server_id == server_id:
        return before
    manifest = replace(before, server_id=server_id)
    await _write(place, manifest, before=before)
    return manifest


async def retire_server(place: ReplicaPlace, manifest: Manifest, *, server_id: str) -> None:
    """Give the replica to the data directory `server_id`, and refuse the one before it for good.

    Call this while the lease is held. Raises what `ReplicaPlace` raises.
    """
    if manifest.server_id == server_id:
        return
    retired = (*manifest.retired, manifest.server_id)[-_MOST_RETIRED:]
    changed = replace(manifest, server_id=server_id, retired=retired)
    await _write(place, changed, before=manifest)


async def _require_empty(place: ReplicaPlace) -> None:
    async for file in place.list():
        if file.name not in {LEASE, MANIFEST}:
            raise ForeignReplica(
                f"the place has files, such as {file.name}, and no {MANIFEST}: it is used for "
                f"something else, or by Litestream alone; {_ANOTHER_PLACE}"
            )


async def _write(place: ReplicaPlace, manifest: Manifest, *, before: Manifest | None) -> None:
    data = None if before is None else await place.read(MANIFEST, max_bytes=_MAX_BYTES)
    if not await place.write_if_same(MANIFEST, manifest.encode(), before=data):
        raise ReplicaUnavailable(f"another process has just changed {MANIFEST} of the replica")
