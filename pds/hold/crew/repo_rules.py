"""What the captain and crew admins may write to the hold's repository, checked as it is written.

The rules see each write in the transaction that makes it, beside the records as they are at that
moment: somebody who has just lost `crew:admin` writes nothing more, and two requests together
cannot do what neither may do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pds.hold.permissions import NotCrew, Permission, check
from pds.hold.records import (
    CAPTAIN,
    CREW,
    POST,
    PROFILE,
    SELF,
    Captain,
    CrewMember,
    crew_rkey,
    find_value,
    read_value,
)

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.writes import PreparedWrite

WRITABLE: Final = frozenset({CREW, PROFILE, POST})
"""All other collections are written by the server alone."""
_KNOWN: Final = frozenset(each.value for each in Permission)


class HoldWriteRefused(Exception):
    """The caller may not make the write."""


class InvalidCrew(Exception):
    """The crew record is invalid or a second one, so not even the captain may store it."""


@dataclass(frozen=True, slots=True)
class RepoRules:
    """Checks the writes of one request by `caller`."""

    caller: str
    rkeys: Mapping[str, Iterable[str]] = field(default_factory=dict)
    """Where crew records of the caller and of members to be written may be, by DID, besides
    `crew_rkey`; the one that decides first."""

    def check(self, actor: ActorStoreReader, writes: Sequence[PreparedWrite]) -> None:
        """A `Guard`. Raises `HoldWriteRefused`, `InvalidCrew` and `AccessDenied`s."""
        crew = _Crew(actor)
        is_captain = self.caller == crew.owner
        if not is_captain:
            record = next(crew.records_of(self.caller, self.rkeys), None)
            if record is None or crew.find_takendown(self.caller, self.rkeys) is not None:
                raise NotCrew(Permission.ADMIN)
            check(Permission.ADMIN, is_captain=False, permissions=record.permissions)
        for write in writes:
            if write.collection not in WRITABLE:
                raise HoldWriteRefused(f"{write.collection} is written by the hold itself")
            if write.collection == CREW:
                self._check_crew(crew, write, is_captain=is_captain)

    def _check_crew(self, crew: _Crew, write: PreparedWrite, *, is_captain: bool) -> None:
        old = crew.find(write.rkey)
        crew.put(write.rkey, None if write.block is None else read_value(write.block))
        new = crew.find(write.rkey)
        if crew.takendown(write.rkey) is not None:
            raise HoldWriteRefused(f"the crew record {write.rkey} is taken down")
        if new is not None and (rkey := crew.find_takendown(new.member, self.rkeys)) is not None:
            raise HoldWriteRefused(f"the crew record {rkey} of {new.member} is taken down")
        if new is None and old is not None and old.member == crew.owner:
            raise HoldWriteRefused("the captain's crew record cannot be deleted")
        if new is not None:
            _check_member(old, new)
            _check_permissions(crew, write.rkey)
            others = (each.rkey for each in crew.records_of(new.member, self.rkeys))
            if other := next((rkey for rkey in others if rkey != write.rkey), None):
                raise InvalidCrew(f"{new.member} has a crew record already: {CREW}/{other}")
        if _is_admin(old) != _is_admin(new) and not is_captain:
            raise HoldWriteRefused("only the captain grants or takes away crew:admin")


class _Crew:
    """The crew records as they will be after the writes that have been checked."""

    def __init__(self, actor: ActorStoreReader) -> None:
        self._actor = actor
        self._written: dict[str, dict[str, Any] | None] = {}
        self.owner = Captain.of(find_value(actor, CAPTAIN, SELF) or {}).owner

    def put(self, rkey: str, value: dict[str, Any] | None) -> None:
        """Note a write; None for a deletion."""
        self._written[rkey] = value

    def value(self, rkey: str) -> dict[str, Any] | None:
        """Return a record, if it is an object."""
        return self._written[rkey] if rkey in self._written else self.stored(rkey)

    def stored(self, rkey: str) -> dict[str, Any] | None:
        """Return a record from before the writes, if it is an object."""
        return find_value(self._actor, CREW, rkey)

    def takendown(self, rkey: str) -> dict[str, Any] | None:
        """Return the stored record if the operator has taken it down; empty if it is no object."""
        found = self._actor.record.find(CREW, rkey, include_takendown=True)
        if found is None or found.takedown_ref is None:
            return None
        return read_value(found.block) or {}

    def find_takendown(self, member: str, rkeys: Mapping[str, Iterable[str]]) -> str | None:
        """Return the key of a record of a member that is taken down."""
        for rkey in dict.fromkeys((*rkeys.get(member, ()), crew_rkey(member))):
            if (self.takendown(rkey) or {}).get("member") == member:
                return rkey
        return None

    def find(self, rkey: str) -> CrewMember | None:
        """Return a record, if it names a member."""
        value = self.value(rkey)
        return None if value is None else CrewMember.of(rkey, value)

    def records_of(self, member: str, rkeys: Mapping[str, Iterable[str]]) -> Iterator[CrewMember]:
        """Yield the records of a member at the keys where they may be."""
        for rkey in dict.fromkeys((*rkeys.get(member, ()), crew_rkey(member), *self._written)):
            found = self.find(rkey)
            if found is not None and found.member == member:
                yield found


def _is_admin(record: CrewMember | None) -> bool:
    return record is not None and Permission.ADMIN in record.permissions


def _check_member(old: CrewMember | None, new: CrewMember) -> None:
    if old is not None and old.member != new.member:
        raise InvalidCrew(f"the record is about {old.member}; delete it, and create another")


def _check_permissions(crew: _Crew, rkey: str) -> None:
    """Refuse permissions that nobody knows, except those that other programs have stored."""
    kept = (crew.stored(rkey) or {}).get("permissions", ())
    value = crew.value(rkey) or {}
    for name in value.get("permissions", ()):
        if name not in _KNOWN and name not in kept:
            raise InvalidCrew(f"unknown permission {name!r:.100}: {', '.join(sorted(_KNOWN))}")
