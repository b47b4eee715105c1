"""Pages of the crew and of stats, for the operator and the crew page: each a bounded read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pds.hold.records import CREW, CrewMember, find_value
from pds.hold.stats_record import StatsRecord

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from pds.hold.hold import Hold

T = TypeVar("T")

_PAIRS: Final = " UNION ".join(
    f"SELECT did, repository FROM {table} WHERE (did, repository) > (?1, ?2)"
    for table in ("stat", "count", "writing")
)
_PAIRS_OF_ALL: Final = f"{_PAIRS} ORDER BY did, repository LIMIT ?3"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries of a list, and where the next page goes on; None after the last."""

    entries: Sequence[T]
    cursor: str | None


def crew_page(actor: ActorStoreReader, *, limit: int, after: str | None) -> Page[CrewMember]:
    """Return members in the order of their records' keys; `after` is the cursor, a key."""
    refs = actor.record.list_refs(CREW, limit=limit + 1, cursor=after, reverse=True)
    entries: list[CrewMember] = []
    for ref in refs[:limit]:
        member = CrewMember.of(ref.rkey, find_value(actor, CREW, ref.rkey) or {})
        if member is not None:
            entries.append(member)
    return Page(entries, refs[limit - 1].rkey if len(refs) > limit else None)


async def stats_page(hold: Hold, *, limit: int, after: str | None) -> Page[StatsRecord]:
    """Return the stats of all repositories by owner and name, with what is in no record yet."""
    did, _, repository = (after or "").partition(" ")
    await hold.index.follow()
    pairs = hold.db.all(_PAIRS_OF_ALL, (did, repository, limit + 1))
    entries = [
        StatsRecord(did, repository, await hold.stats.of(did, repository))
        for did, repository in pairs[:limit]
    ]
    last = entries[-1] if len(pairs) > limit else None
    return Page(entries, None if last is None else f"{last.did} {last.repository}")


async def stats_of_owner(
    hold: Hold, owner: str, *, limit: int, after: str | None
) -> Page[StatsRecord]:
    """Return the stats of one owner's repositories by name."""
    entries = await hold.stats.list(owner, limit=limit, cursor=after)
    return Page(entries, entries[-1].repository if len(entries) == limit else None)
