"""The manifests that refer to blobs: those whose records are gone are forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actor_store.writes import MAX_WRITES, PreparedWrite
from database.retry import write
from pds.hold.gc.manifest_check import CheckedManifest, ManifestState
from pds.hold.records import LAYER
from pds.repos.commits import commit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actor_store.keyed_locks import KeyedLocks
    from actor_store.reader import ActorStoreReader
    from database.connection import Database
    from pds.context import AppContext
    from pds.hold.images.blob_use import BlobUse
    from pds.hold.images.layers import LayerRecord, Layers
    from pds.hold.repo_index import RepoIndex
    from repo.syntax import Did

_PAGE: Final = 200
"""Manifests that one page looks at."""
_ASKED: Final = 20
"""Manifests that one page asks other servers for."""
_AT_ONCE: Final = 4
_NEXT: Final = (
    "SELECT min(manifest) FROM ("
    "SELECT min(manifest) AS manifest FROM layer WHERE manifest > ?1"
    " UNION ALL SELECT min(manifest) FROM manifest_blob WHERE manifest > ?1)"
)
_IS_COMPLETE: Final = "SELECT EXISTS (SELECT 1 FROM manifest_blob WHERE manifest = ?)"


@dataclass(slots=True)
class ManifestCounts:
    """What one page found and did."""

    last: str | None = None
    """The last manifest of the page; None if there are no more."""
    manifests: int = 0
    gone: int = 0
    unclear: int = 0
    unresolved: int = 0
    """Manifests whose configs are not known, so that they could be deleted."""
    layer_records: int = 0


class ManifestPhase:
    """Goes through all manifests that layer records or notices have named."""

    def __init__(
        self,
        ctx: AppContext,
        did: Did,
        db: Database,
        *,
        index: RepoIndex,
        layers: Layers,
        use: BlobUse,
        locks: KeyedLocks,
        check: Callable[[str], Awaitable[CheckedManifest]],
    ) -> None:
        """`locks`, by DID of a user, are held while their layer records are written."""
        self._ctx = ctx
        self._did = did
        self._db = db
        self._index = index
        self._layers = layers
        self._use = use
        self._locks = locks
        self._check = check

    async def follow(self) -> None:
        """Index the layer records as they are now."""
        await self._index.follow()

    async def page(self, after: str, *, check_all: bool, delete: bool) -> ManifestCounts:
        """Look at the manifests after `after`. Raises errors of stores."""
        await self.follow()
        counts = ManifestCounts()
        asked: list[str] = []
        uri: str | None = after
        for _ in range(_PAGE):
            uri = self._db.value(_NEXT, (uri,))
            if uri is None or len(asked) == _ASKED:
                break
            counts.manifests += 1
            counts.last = uri
            if check_all or not self._is_complete(uri):
                asked.append(uri)
        if uri is None:
            counts.last = None
        for start in range(0, len(asked), _AT_ONCE):
            some = asked[start : start + _AT_ONCE]
            await asyncio.gather(*(self._look_up(each, counts, delete=delete) for each in some))
        return counts

    def has_unlinked_layers(self) -> bool:
        """Whether there are layer records of an old kind, which name no manifest."""
        return bool(self._db.value("SELECT EXISTS (SELECT 1 FROM layer WHERE manifest = '')"))

    def _is_complete(self, uri: str) -> bool:
        return bool(self._db.value(_IS_COMPLETE, (uri,)))

    async def _look_up(self, uri: str, counts: ManifestCounts, *, delete: bool) -> None:
        with self._layers.watching(uri) as was_pushed:
            checked = await self._check(uri)
            if checked.state is not ManifestState.GONE:
                await self._layers.remember(uri, checked.digests)
                counts.unclear += checked.state is ManifestState.UNKNOWN
                counts.unresolved += not self._is_complete(uri)
                return
            async with self._locks[_user_of(uri)]:
                # The record was written again after the answer, if there was a push.
                if was_pushed():
                    return
                counts.gone += 1
                counts.layer_records += await self._forget(uri, delete=delete)

    async def _forget(self, uri: str, *, delete: bool) -> int:
        """Delete the layer records of a manifest; return how many there were."""
        deleted = 0
        while rows := await self._layers.records_of_manifest(uri):
            if not delete:
                return len(rows)
            some = rows[:MAX_WRITES]
            digests = [row.digest for row in some]
            await write(self._db, lambda: self._use.note(digests))  # noqa: B023 (called at once)
            await commit(self._ctx, self._did, lambda actor: _deletes(actor, some))  # noqa: B023
            deleted += len(some)
        if delete:
            await write(self._db, lambda: self._release(uri))
        return deleted

    def _release(self, uri: str) -> None:
        """Forget what a manifest names; from now on, the grace period of its blobs runs."""
        rows = self._db.all("SELECT digest FROM manifest_blob WHERE manifest = ?", (uri,))
        self._use.note([digest for (digest,) in rows])
        self._db.run("DELETE FROM manifest_blob WHERE manifest = ?", (uri,))
        self._db.run("DELETE FROM post WHERE manifest = ?", (uri,))


def _deletes(actor: ActorStoreReader, rows: list[LayerRecord]) -> list[PreparedWrite] | None:
    return [
        PreparedWrite("delete", LAYER, row.rkey)
        for row in rows
        if actor.record.find_cid(LAYER, row.rkey) is not None
    ] or None


def _user_of(uri: str) -> str:
    return uri.removeprefix("at://").partition("/")[0]
