"""The roster: captain and crew, as the hold's repository has them at this moment.

Members are looked up by the `member` field, whatever the key of their record. The look-up table
follows the repository by its rev: an access check after a commit never sees the time before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pds.hold.permissions import Permission, check
from pds.hold.records import CAPTAIN, CREW, SELF, Captain, CrewMember
from repo import dagcbor

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.store import ActorStore

_PAGE: Final = 500


class Roster:
    """Answers who the captain is, who is crew, and who may do what."""

    def __init__(self, actor_store: ActorStore, did: str) -> None:
        """Read from the repository of `did`, the hold."""
        self._actor_store = actor_store
        self._did = did
        self._rev = ""
        self._captain: Captain | None = None
        self._by_member: dict[str, CrewMember] = {}

    async def captain(self) -> Captain:
        """Return the captain record. Raises `RecordNotFound` if somebody has deleted it."""
        await self._follow()
        if self._captain is None:
            raise LookupError("the hold has no captain record")
        return self._captain

    async def find(self, member: str) -> CrewMember | None:
        """Return the crew record of a DID, or None."""
        await self._follow()
        return self._by_member.get(member)

    async def check(self, caller: str | None, wanted: Permission) -> None:
        """Raise `AccessDenied` unless `caller`, None if anonymous, may do it."""
        captain = await self.captain()
        if wanted is Permission.READ and captain.public:
            return
        member = None if caller is None else self._by_member.get(caller)
        check(
            wanted,
            is_captain=caller is not None and caller == captain.owner,
            permissions=None if member is None else member.permissions,
        )

    async def _follow(self) -> None:
        await self._actor_store.read(self._did, self._read)

    def _read(self, actor: ActorStoreReader) -> None:
        rev = actor.repo.head().rev
        if rev == self._rev:
            return
        captain = _find(actor, CAPTAIN, SELF)
        self._captain = None if captain is None else Captain.of(captain)
        members: list[CrewMember] = []
        cursor = None
        while refs := actor.record.list_refs(CREW, limit=_PAGE, cursor=cursor):
            cursor = refs[-1].rkey
            values = ((ref.rkey, _find(actor, CREW, ref.rkey)) for ref in refs)
            found = (CrewMember.of(rkey, value) for rkey, value in values if value is not None)
            members.extend(member for member in found if member is not None)
        self._by_member = {member.member: member for member in members}
        self._rev = rev


def _find(actor: ActorStoreReader, collection: str, rkey: str) -> dict[str, Any] | None:
    found = actor.record.find(collection, rkey)
    value = None if found is None else dagcbor.decode(found.block)
    return value if isinstance(value, dict) else None
