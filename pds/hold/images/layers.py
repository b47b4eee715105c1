"""Layer records: who has pushed which layers, and how much each user stores.

The records are in the hold's repository, one for each layer of each manifest; the look-ups here use
their index (`repo_index`). A user's quota counts each digest once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from actor_store.writes import PreparedWrite
from database.retry import write
from pds.hold.images.manifest import Layer
from pds.hold.records import LAYER, read_value
from repo import dagcbor
from repo.cid import Cid

if TYPE_CHECKING:
    from actor_store.store import ActorStore
    from database.connection import Database
    from pds.hold.repo_index import RepoIndex

_MAX_RECORDS: Final = 2_000
"""Records of one manifest that are looked at; a push makes at most half as many."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user stores: distinct layers, each counted once."""

    blobs: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer record, as the index has it."""

    rkey: str
    digest: str
    size_bytes: int
    manifest: str


class Layers:
    """Looks up layer records. Methods raise `DatabaseError`s."""

    def __init__(self, actor_store: ActorStore, did: str, db: Database, index: RepoIndex) -> None:
        """Look at the records of `did`, the hold, which `index` follows."""
        self._actor_store = actor_store
        self._did = did
        self._db = db
        self._index = index
        self._watched: dict[str, bool] = {}

    async def usage(self, user_did: str) -> Usage:
        """Return what a user stores."""
        await self._index.follow()
        row = self._db.one("SELECT blobs, sizeBytes FROM usage WHERE userDid = ?", (user_did,))
        return Usage(0, 0) if row is None else Usage(*row)

    async def added_bytes(self, user_did: str, layers: Iterable[Layer]) -> int:
        """Return how much a user would store in addition with these layers."""
        await self._index.follow()
        return sum(
            layer.size_bytes
            for layer in layers
            if not self._db.value(
                "SELECT EXISTS (SELECT 1 FROM user_blob WHERE userDid = ? AND digest = ?)",
                (user_did, layer.digest),
            )
        )

    async def records_of_user(
        self, user_did: str, *, limit: int, cursor: str | None = None
    ) -> list[LayerRecord]:
        """Return a user's records by key; `cursor` is the last key the caller saw."""
        await self._index.follow()
        rows = self._db.all(
            "SELECT rkey, digest, sizeBytes, manifest FROM layer"
            " WHERE userDid = ? AND rkey > ? ORDER BY rkey LIMIT ?",
            (user_did, cursor or "", limit),
        )
        return [LayerRecord(*row) for row in rows]

    async def records_of_manifest(self, manifest: str) -> list[LayerRecord]:
        """Return the records of a manifest, given by its at-uri, in order of their keys."""
        await self._index.follow()
        rows = self._db.all(
            "SELECT rkey, digest, sizeBytes, manifest FROM layer"
            " WHERE manifest = ? ORDER BY rkey LIMIT ?",
            (manifest, _MAX_RECORDS),
        )
        return [LayerRecord(*row) for row in rows]

    async def values_of_manifest(self, manifest: str) -> list[dict[str, Any]]:
        """Return the records of a manifest as they are stored, except those taken down."""
        rows = await self.records_of_manifest(manifest)
        found = await self._actor_store.read(
            self._did, lambda actor: [actor.record.find(LAYER, row.rkey) for row in rows]
        )
        return [read_value(record.block) or {} for record in found if record is not None]

    @contextmanager
    def watching(self, manifest: str) -> Iterator[Callable[[], bool]]:
        """Return a function that says whether a manifest was pushed since the block began."""
        self._watched[manifest] = False
        try:
            yield lambda: self._watched[manifest]
        finally:
            del self._watched[manifest]

    def note_push(self, manifest: str) -> None:
        """Note that a manifest is being pushed, before anything about it is decided."""
        if manifest in self._watched:
            self._watched[manifest] = True

    async def remember(self, manifest: str, digests: Collection[str]) -> None:
        """Remember which blobs a manifest names, so that garbage collection keeps them."""
        await write(
            self._db,
            lambda: self._db.many(
                "INSERT INTO manifest_blob (manifest, digest) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [(manifest, digest) for digest in digests],
            ),
        )


def layer_write(
    layer: Layer, *, rkey: str, manifest: str, user_did: str, now: str
) -> PreparedWrite:
    """Return the write of a new layer record."""
    value: dict[str, Any] = {
        "$type": LAYER,
        "digest": layer.digest,
        "size": layer.size_bytes,
        "mediaType": layer.media_type,
        "manifest": manifest,
        "userDid": user_did,
        "createdAt": now,
    }
    block = dagcbor.encode_checked(value)
    return PreparedWrite("create", LAYER, rkey, Cid.of_dag_cbor(block), block)
