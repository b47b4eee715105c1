"""An index of the crew records whose key does not follow from their member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pds.hold.records import CREW, crew_rkey, find_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actor_store.reader import ActorStoreReader

_CHANGES: Final = 1_000
"""How many changed records, of all collections, are listed on the event loop."""
_CREW_CHANGES: Final = 100


class CrewIndex:
    """Keys of crew records by member, except those that `crew_rkey` gives.

    It has every record of the commit up to which it has followed, and may have others that have
    been deleted or changed since: the caller reads each record before relying on it.
    """

    def __init__(self) -> None:
        self._rev = ""
        self._rkeys: dict[str, set[str]] = {}
        self._members: dict[str, str] = {}

    @classmethod
    def read(cls, actor: ActorStoreReader) -> CrewIndex:
        """Read all crew records. Takes 0.1 s for 10,000 of them, so call it in a thread."""
        index = cls()
        index._add(actor, actor.record.rkeys(CREW))
        index._rev = actor.repo.head().rev
        return index

    def other_rkeys(self, member: str) -> Iterable[str]:
        """Return the keys, other than `crew_rkey(member)`, under which a record may name them."""
        return self._rkeys.get(member, ())

    def follow(self, actor: ActorStoreReader) -> bool:
        """Catch up with the repository; return False if it has changed by too much for that.

        Also returns False for a repository that is older than the index, and for a new index.
        """
        rev = actor.repo.head().rev
        if rev == self._rev:
            return True
        if not self._rev or rev < self._rev:
            return False
        changed = actor.record.keys_since(self._rev, limit=_CHANGES)
        crew = [rkey for collection, rkey in changed if collection == CREW]
        if len(changed) == _CHANGES or len(crew) > _CREW_CHANGES:
            return False
        self._add(actor, crew)
        self._rev = rev
        return True

    def _add(self, actor: ActorStoreReader, rkeys: Iterable[str]) -> None:
        for rkey in rkeys:
            self._forget(rkey)
            value = find_value(actor, CREW, rkey, include_takendown=True) or {}
            member = value.get("member")
            if isinstance(member, str) and rkey != crew_rkey(member):
                self._members[rkey] = member
                self._rkeys.setdefault(member, set()).add(rkey)

    def _forget(self, rkey: str) -> None:
        member = self._members.pop(rkey, None)
        if member is None:
            return
        rkeys = self._rkeys[member]
        rkeys.discard(rkey)
        if not rkeys:
            del self._rkeys[member]
