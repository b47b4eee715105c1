"""What a hold has about one user: handed out to them, and deleted when they ask.

These are their crew record, their layer and stats records, and the posts that mention them. Posts
stay, as other people's posts about them do, and so do bytes, which other users may share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from actor_store.errors import ActorStoreError
from actor_store.writes import PreparedWrite
from database.errors import DatabaseError
from database.timestamps import now_iso
from pds.hold.records import CREW, LAYER, POST, STATS, find_value, read_value, to_json
from pds.hold.stats_record import StatsRecord
from pds.repos.commits import commit

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from database.connection import Database
    from pds.context import AppContext
    from pds.hold.crew.roster import Roster
    from pds.hold.images.images import Images
    from pds.hold.records import CrewMember
    from pds.hold.repo_index import RepoIndex
    from pds.hold.stats.stats import Stats
    from repo.syntax import Did

WRITES_OF_COMMIT: Final = 100
"""Half of the limit: deletions all over a large tree make large events."""
_PAGE: Final = 500
_CREW_FIELDS: Final = ("role", "tier", "addedAt", "permissions")
_LAYER_FIELDS: Final = ("digest", "size", "mediaType", "manifest", "createdAt")
_OWNERS: Final = {CREW: ("member",), LAYER: ("userDid",), STATS: ("ownerDid", "did")}
"""The fields that say whose a record is."""


class DeletionFailed(Exception):
    """Some records are deleted, and the others are not; a second try goes on from there."""

    def __init__(self, deleted: int) -> None:
        super().__init__(f"{deleted} records are deleted, and some are left: try again")


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted."""

    crew: bool
    layers: int
    stats: int


class PersonalData:
    """Finds, exports and deletes the records about a user."""

    def __init__(
        self,
        ctx: AppContext,
        did: Did,
        db: Database,
        *,
        index: RepoIndex,
        roster: Roster,
        images: Images,
        stats: Stats,
    ) -> None:
        """Use the repository of `did`, the hold, and the `index` of it in `db`."""
        self._ctx = ctx
        self._did = did
        self._db = db
        self._roster = roster
        self._index = index
        self._images = images
        self._stats = stats

    async def export(self, user: Did) -> bytes:
        """Return all that the hold has about a user, as JSON. Reads all posts, in a thread."""
        captain, crew = await self._roster.captain(), await self._roster.find(user)
        layers, stats = await self._layer_rkeys(user), await self._list_stats(user)
        head = {
            "exportedAt": now_iso(),
            "holdDid": self._did,
            "userDid": user,
            "isCaptain": user == captain.owner,
        }

        def read(actor: ActorStoreReader) -> bytes:
            return orjson.dumps(
                {
                    **head,
                    **_crew_json(actor, crew),
                    "layerRecords": list(_layers_json(actor, layers)),
                    "statsRecords": [_stats_json(actor, *each, head) for each in stats],
                    "blueskyPosts": list(_posts_json(actor, user)),
                }
            )

        return await self._ctx.actor_store.read_in_thread(self._did, read)

    async def delete(self, user: Did) -> Deleted:
        """Delete a user's crew, layer and stats records; the captain's crew record stays.

        Up to a hundred records are one commit. Raises `DeletionFailed`, and before anything is
        deleted `DatabaseError`s and what `commit` raises.
        """
        async with self._images.locks[user]:
            # Counts from now on belong to new records.
            await self._stats.forget(user)
            is_captain = user == (await self._roster.captain()).owner
            crew = [] if is_captain else await self._roster.records_of(user)
            paths = [
                *((LAYER, rkey) for rkey in await self._layer_rkeys(user)),
                *((STATS, rkey) for rkey in await self._stats_rkeys(user)),
                *((CREW, each.rkey) for each in crew),
            ]
            gone: list[str] = []
            for start in range(0, len(paths), WRITES_OF_COMMIT):
                try:
                    gone += await self._delete(user, paths[start : start + WRITES_OF_COMMIT])
                except (ActorStoreError, DatabaseError) as exc:
                    if not gone:
                        raise
                    raise DeletionFailed(len(gone)) from exc
        return Deleted(CREW in gone, gone.count(LAYER), gone.count(STATS))

    async def _delete(self, user: Did, paths: Sequence[tuple[str, str]]) -> list[str]:
        """Delete records in one commit; return the collection of each that was there."""
        gone: list[str] = []

        def plan(actor: ActorStoreReader) -> list[PreparedWrite] | None:
            gone.clear()
            writes = []
            for collection, rkey in paths:
                found = actor.record.find(collection, rkey, include_takendown=True)
                # The index may be older than the repository.
                if found is not None and _is_about(user, collection, found.block):
                    gone.append(collection)
                    writes.append(PreparedWrite("delete", collection, rkey))
            return writes or None

        await commit(self._ctx, self._did, plan)
        return gone

    async def _layer_rkeys(self, user: Did) -> list[str]:
        rkeys: list[str] = []
        layers = self._images.layers
        while page := await layers.records_of_user(
            user, limit=_PAGE, cursor=rkeys[-1] if rkeys else None
        ):
            rkeys += (row.rkey for row in page)
        return rkeys

    async def _stats_rkeys(self, user: Did) -> list[str]:
        await self._index.follow()
        return [rkey for (rkey,) in self._db.all("SELECT rkey FROM stat WHERE did = ?", (user,))]

    async def _list_stats(self, user: Did) -> list[tuple[StatsRecord, str | None]]:
        """Return a user's stats, each with the key of a record that has them, if there is one."""
        found: list[StatsRecord] = []
        while page := await self._stats.list(
            user, limit=_PAGE, cursor=found[-1].repository if found else None
        ):
            found += page
        rows = self._db.all("SELECT repository, rkey FROM stat WHERE did = ?", (user,))
        rkeys: dict[str, str] = dict(rows)
        return [(each, rkeys.get(each.repository)) for each in found]


def _is_about(user: Did, collection: str, block: bytes) -> bool:
    value = read_value(block) or {}
    return any(value.get(name) == user for name in _OWNERS[collection])


def _find(actor: ActorStoreReader, collection: str, rkey: str) -> dict[str, Any]:
    """Return a record as JSON; an empty object if it is gone or taken down."""
    return to_json(find_value(actor, collection, rkey) or {})


def _crew_json(actor: ActorStoreReader, crew: CrewMember | None) -> dict[str, Any]:
    if crew is None:
        return {}
    value = _find(actor, CREW, crew.rkey)
    return {"crewRecord": {name: value[name] for name in _CREW_FIELDS if name in value}}


def _layers_json(actor: ActorStoreReader, rkeys: Iterable[str]) -> Iterable[dict[str, Any]]:
    for rkey in rkeys:
        value = _find(actor, LAYER, rkey)
        if value:
            yield {name: value[name] for name in _LAYER_FIELDS if name in value}


def _stats_json(
    actor: ActorStoreReader, stats: StatsRecord, rkey: str | None, head: dict[str, Any]
) -> dict[str, Any]:
    stored = {} if rkey is None else _find(actor, STATS, rkey)
    return {
        "repository": stats.repository,
        **stats.totals.to_json(),
        # What is counted and in no record yet changes with every moment.
        "updatedAt": stored.get("updatedAt", head["exportedAt"]),
    }


def _posts_json(actor: ActorStoreReader, user: Did) -> Iterable[dict[str, Any]]:
    """Yield the posts that mention a user: those have the DID in them."""
    mention, cursor = user.encode(), None
    while refs := actor.record.list_refs(POST, limit=_PAGE, cursor=cursor):
        cursor = refs[-1].rkey
        for ref in refs:
            found = actor.record.find(POST, ref.rkey)
            if found is not None and mention in found.block:
                value = to_json(read_value(found.block) or {})
                yield {
                    "uri": ref.uri,
                    "text": value.get("text", ""),
                    "createdAt": value.get("createdAt", ""),
                }
