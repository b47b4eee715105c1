"""The roster: captain and crew, as the hold's repository has them at this moment.

Every check reads the records that decide it, in one short transaction, so no answer is older than
the last commit or takedown. Members are found by the field `member`, whatever the key of their
record: most keys follow from the member (`crew_rkey`), and the others are in an index in memory.
The index follows the repository by its rev, from the rows that have changed since; it may name
records that are gone, because each is read before it counts.

If several records name one member, the one written last decides; if one of them is taken down, the
member is shut out, whatever the others say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
from cachetools import LRUCache

from pds.hold.crew.index import CrewIndex
from pds.hold.permissions import Permission, check
from pds.hold.records import CAPTAIN, CREW, SELF, Captain, CrewMember, crew_rkey, read_value

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.records import StoredRecord
    from actor_store.store import ActorStore
    from repo.cid import Cid

T = TypeVar("T")

NO_CAPTAIN: Final = Captain(owner="", public=False, allow_all_crew=False, bluesky_posts=False)
"""What applies without a usable captain record: the hold is private, and has no captain."""

_CACHED: Final = 10_000
_REMEDY: Final = (
    "Restart the server with PDS_HOLD_OWNER set: it writes the record anew. Until then the hold is "
    "private and nobody is its captain."
)

_log = structlog.get_logger(__name__)


class _FarBehind(Exception):
    """The repository has changed by more than is read on the event loop."""


class Roster:
    """Answers who the captain is, who is crew, and who may do what.

    Methods raise what `ActorStore.read` raises.
    """

    def __init__(self, actor_store: ActorStore, did: str) -> None:
        """Read from the repository of `did`, the hold."""
        self._actor_store = actor_store
        self._did = did
        self._index = CrewIndex()
        self._loading = asyncio.Lock()
        self._captains: LRUCache[Cid, tuple[Captain, str]] = LRUCache(1)
        self._members: LRUCache[tuple[str, Cid], CrewMember | None] = LRUCache(_CACHED)
        self._reported = ""
        """The fault of the captain record that was logged last."""

    async def load(self) -> None:
        """Read all crew records, in a thread; otherwise the first check does so."""
        async with self._loading:
            self._index = await self._actor_store.read_in_thread(self._did, CrewIndex.read)

    async def captain(self) -> Captain:
        """Return the captain record; `NO_CAPTAIN` if it is missing, taken down or malformed."""
        return await self._read(self._captain)

    async def has_captain(self) -> bool:
        """Whether there is a captain record that names an owner."""
        return (await self.captain()) is not NO_CAPTAIN

    async def find(self, member: str) -> CrewMember | None:
        """Return the crew record of a DID, or None."""
        records = await self.records_of(member)
        return records[0] if records else None

    async def records_of(self, member: str) -> list[CrewMember]:
        """Return every crew record of a DID, the one that decides first."""
        return await self._read(lambda actor: self._records_of(actor, member))

    async def takendown_record(self, member: str) -> str | None:
        """Return the at-uri of a crew record of a DID that is taken down, or None."""

        def read(actor: ActorStoreReader) -> str | None:
            found = self._stored(actor, member)
            return next(
                (stored.uri for stored, _ in found if stored.takedown_ref is not None), None
            )

        return await self._read(read)

    async def rkeys(self, member: str) -> list[str]:
        """Return every key of a crew record that may name a DID, the one that decides first."""

        def read(actor: ActorStoreReader) -> list[str]:
            active = (record.rkey for record in self._records_of(actor, member))
            return list(dict.fromkeys((*active, *self._rkeys(member))))

        return await self._read(read)

    async def check(self, caller: str | None, wanted: Permission) -> None:
        """Raise `AccessDenied` unless `caller`, None if anonymous, may do it."""

        def read(actor: ActorStoreReader) -> tuple[Captain, list[CrewMember]]:
            captain = self._captain(actor)
            is_public = wanted is Permission.READ and captain.public
            if caller is None or caller == captain.owner or is_public:
                return captain, []
            found = self._stored(actor, caller)
            if any(stored.takedown_ref is not None for stored, _ in found):
                return captain, []
            return captain, _in_order(found)

        captain, records = await self._read(read)
        if wanted is Permission.READ and captain.public:
            return
        check(
            wanted,
            is_captain=caller is not None and caller == captain.owner,
            permissions=records[0].permissions if records else None,
        )

    async def _read(self, fn: Callable[[ActorStoreReader], T]) -> T:
        """Run `fn` on a state of the repository that the index has caught up with."""

        def read(actor: ActorStoreReader) -> T:
            if not self._index.follow(actor):
                raise _FarBehind
            return fn(actor)

        while True:
            index = self._index
            try:
                return await self._actor_store.read(self._did, read)
            except _FarBehind:
                await self._load_after(index)

    async def _load_after(self, index: CrewIndex) -> None:
        async with self._loading:
            if self._index is index:
                self._index = await self._actor_store.read_in_thread(self._did, CrewIndex.read)

    def _captain(self, actor: ActorStoreReader) -> Captain:
        found = actor.record.find(CAPTAIN, SELF)
        captain, fault = NO_CAPTAIN, "it is missing or taken down"
        if found is not None:
            if found.cid not in self._captains:
                self._captains[found.cid] = _read_captain(found.block)
            captain, fault = self._captains[found.cid]
        if fault != self._reported:
            self._reported = fault
            if fault:
                _log.error("the captain record cannot be used", reason=fault, remedy=_REMEDY)
        return captain

    def _records_of(self, actor: ActorStoreReader, member: str) -> list[CrewMember]:
        found = self._stored(actor, member)
        return _in_order([each for each in found if each[0].takedown_ref is None])

    def _stored(
        self, actor: ActorStoreReader, member: str
    ) -> list[tuple[StoredRecord, CrewMember]]:
        """Return the crew records of a DID, also those taken down."""
        found: list[tuple[StoredRecord, CrewMember]] = []
        for rkey in self._rkeys(member):
            stored = actor.record.find(CREW, rkey, include_takendown=True)
            record = None if stored is None else self._member(rkey, stored)
            if stored is not None and record is not None and record.member == member:
                found.append((stored, record))
        return found

    def _rkeys(self, member: str) -> list[str]:
        return [_rkey_of(member), *self._index.other_rkeys(member)]

    def _member(self, rkey: str, stored: StoredRecord) -> CrewMember | None:
        key = rkey, stored.cid
        if key not in self._members:
            value = read_value(stored.block)
            self._members[key] = None if value is None else CrewMember.of(rkey, value)
        return self._members[key]


def _in_order(found: list[tuple[StoredRecord, CrewMember]]) -> list[CrewMember]:
    """Return crew records of one member, the one written last first."""
    if len(found) > 1:
        found.sort(key=lambda each: (each[0].rev, each[1].added_at, each[1].rkey), reverse=True)
    return [record for _, record in found]


def _read_captain(block: bytes) -> tuple[Captain, str]:
    """Return the captain that a record gives, and what is wrong with it, if anything."""
    value = read_value(block)
    if value is None:
        return NO_CAPTAIN, "it is no object"
    captain = Captain.of(value)
    return (captain, "") if captain.owner else (NO_CAPTAIN, "its owner is not a DID")


_rkey_of: Final = lru_cache(maxsize=_CACHED)(crew_rkey)
