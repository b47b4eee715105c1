"""Changing the crew: one commit for each change, which keeps unknown fields.

CrewError
├── MemberUnknown     there is no crew record for this DID
├── CaptainStays      the captain cannot leave the crew
└── MemberTakendown   the operator has taken the member's record down
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from actor_store.writes import UNSET, PreparedWrite, Unset
from database.timestamps import now_iso
from pds.hold.permissions import Permission
from pds.hold.records import (
    CREW,
    CrewMember,
    crew_rkey,
    crew_value,
    find_value,
    read_value,
    to_json,
)
from pds.repos.commits import commit
from pds.repos.records import prepare_write

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from pds.context import AppContext
    from pds.hold.crew.roster import Roster
    from repo.syntax import Did

Change: TypeAlias = Literal["created", "updated", "unchanged"]


class CrewError(Exception):
    """The crew has not been changed. The message may be shown to the caller."""


class MemberUnknown(CrewError):
    """There is no crew record for this DID."""

    def __init__(self, member: str) -> None:
        super().__init__(f"{member} is not a member of the crew")


class CaptainStays(CrewError):
    """The captain cannot leave the crew of their hold."""

    def __init__(self, member: str) -> None:
        super().__init__(f"{member} is the captain, who stays in the crew")


class MemberTakendown(CrewError):
    """The operator has taken the member's record down, and only the operator can restore it."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"the crew record {uri} is taken down")


@dataclass(frozen=True, slots=True)
class CrewRecord:
    """A member's record after a change."""

    uri: str
    cid: str
    member: CrewMember
    change: Change


class Crew:
    """Adds, updates and removes members. Methods raise `CrewError`s and what `commit` raises."""

    def __init__(self, ctx: AppContext, did: Did, roster: Roster) -> None:
        """Write to the repository of `did`, the hold, whose members `roster` finds."""
        self._ctx = ctx
        self._did = did
        self._roster = roster
        self.adding = asyncio.Lock()
        """Held from the search for a member's record, under any key, until one is written."""

    async def add(
        self,
        member: Did,
        *,
        permissions: Iterable[Permission],
        role: str,
        tier: str | None = None,
    ) -> CrewRecord:
        """Add a member; one who is in the crew already keeps their record, `unchanged`.

        Raises `MemberTakendown`, and what `prepare_write` raises for a bad role or tier.
        """
        new = crew_value(member, role=role, permissions=permissions, added_at=now_iso(), tier=tier)
        async with self.adding:
            takendown = await self._roster.takendown_record(member)
            if takendown is not None:
                # Under any key: a second record must not undo what the operator has decided.
                raise MemberTakendown(takendown)
            found = await self._roster.find(member)
            rkey = crew_rkey(member) if found is None else found.rkey
            return await self._write(rkey, member, lambda old: new if old is None else old)

    async def update(
        self,
        member: Did,
        *,
        permissions: Iterable[Permission] | None = None,
        role: str | None = None,
        tier: str | Unset | None = UNSET,
    ) -> CrewRecord:
        """Change the given parts of a member's record; a `tier` of None means the default tier.

        Raises `MemberUnknown`, and what `prepare_write` raises for a bad role or tier.
        """
        wanted = None if permissions is None else frozenset(permissions)

        def change(old: dict[str, Any] | None) -> dict[str, Any]:
            if old is None:
                raise MemberUnknown(member)
            new = dict(old)
            if wanted is not None:
                new["permissions"] = _permissions(old, wanted)
            if role is not None:
                new["role"] = role
            if tier is None:
                new.pop("tier", None)
            elif not isinstance(tier, Unset):
                new["tier"] = tier
            return new

        found = await self._roster.find(member)
        if found is None:
            raise MemberUnknown(member)
        return await self._write(found.rkey, member, change)

    async def remove(self, member: str) -> None:
        """Remove a member. Raises `MemberUnknown` and `CaptainStays`."""
        if member == (await self._roster.captain()).owner:
            raise CaptainStays(member)
        found = await self._roster.find(member)
        if found is None:
            raise MemberUnknown(member)
        # Other programs may have written a second record for the member under a key of their own.
        while found is not None:
            await self._delete(found)
            found = await self._roster.find(member)

    async def _delete(self, found: CrewMember) -> None:
        def plan(actor: ActorStoreReader) -> list[PreparedWrite] | None:
            stored = find_value(actor, CREW, found.rkey) or {}
            if stored.get("member") != found.member:
                return None  # Somebody else was faster.
            return [PreparedWrite("delete", CREW, found.rkey)]

        await commit(self._ctx, self._did, plan)

    async def _write(
        self,
        rkey: str,
        member: Did,
        change: Callable[[dict[str, Any] | None], dict[str, Any]],
    ) -> CrewRecord:
        """Commit the record that `change` makes of the one stored now, None if there is none."""
        outcome: list[CrewRecord] = []

        def plan(actor: ActorStoreReader) -> list[PreparedWrite] | None:
            outcome.clear()
            key, stored = rkey, actor.record.find(CREW, rkey, include_takendown=True)
            old = None if stored is None else to_json(read_value(stored.block) or {})
            if old is not None and old.get("member") != member:
                # Only a record that another program has put there can be in the way.
                key, stored, old = self._ctx.tid_clock.next(), None, None
            if stored is not None and stored.takedown_ref is not None:
                raise MemberTakendown(stored.uri)
            new = change(old)
            write = prepare_write(
                self._ctx.lexicons,
                "create" if stored is None else "update",
                CREW,
                key,
                new,
                validate=None,
            )
            changed = stored is None or stored.cid != write.cid
            kind: Change = "created" if stored is None else "updated" if changed else "unchanged"
            uri, read = actor.record.uri(CREW, key), CrewMember.of(key, new)
            if read is None:
                raise MemberUnknown(member)
            outcome.append(CrewRecord(uri, str(write.cid), read, kind))
            return [write] if changed else None

        await commit(self._ctx, self._did, plan)
        return outcome[0]


def _permissions(old: dict[str, Any], wanted: frozenset[Permission]) -> list[str]:
    """Return the wanted permissions, and the unknown ones of the old record."""
    known, named = frozenset(Permission), old.get("permissions")
    others = [
        each
        for each in (named if isinstance(named, list) else ())
        if isinstance(each, str) and each not in known
    ]
    return [*Permission.names_of(wanted), *others]
