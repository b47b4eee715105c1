"""Pages of the crew, of what members store and of stats: bounded reads, each by an index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pds.hold.records import CREW, CrewMember
from repo import dagcbor

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from database.connection import Database

T = TypeVar("T")

# Other programs may have written a second record for a repository under a key of their own.
_STATS: Final = (
    "SELECT did, repository, sum(pulls), sum(pushes), max(lastPull), max(lastPush) FROM stat"
    " WHERE (did, repository) > (?, ?) AND {} GROUP BY did, repository"
    " ORDER BY did, repository LIMIT ?"
)
_STATS_OF_ALL: Final = _STATS.format("TRUE")
_STATS_OF_OWNER: Final = _STATS.format("did = ?")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some entries of a list, and where the next page goes on; None after the last."""

    entries: Sequence[T]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class RepositoryStats:
    """The pulls and pushes of one image repository, as its record has them."""

    did: str
    """The owner of the images."""
    repository: str
    pulls: int
    pushes: int
    last_pull: str | None
    last_push: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that commands print; times are absent before the first."""
        times = {"lastPull": self.last_pull, "lastPush": self.last_push}
        return {
            "did": self.did,
            "repository": self.repository,
            "pullCount": self.pulls,
            "pushCount": self.pushes,
            **{name: at for name, at in times.items() if at is not None},
        }


@dataclass(frozen=True, slots=True)
class Stored:
    """What a user stores: each layer counts once, in however many images it occurs."""

    blobs: int
    size_bytes: int


def crew_page(actor: ActorStoreReader, *, limit: int, after: str | None) -> Page[CrewMember]:
    """Return members in the order of their records' keys; `after` is the cursor, a key."""
    refs = actor.record.list_refs(CREW, limit=limit + 1, cursor=after, reverse=True)
    entries: list[CrewMember] = []
    for ref in refs[:limit]:
        stored = actor.record.find(CREW, ref.rkey)
        value = None if stored is None else dagcbor.decode(stored.block)
        member = CrewMember.of(ref.rkey, value) if isinstance(value, dict) else None
        if member is not None:
            entries.append(member)
    return Page(entries, refs[limit - 1].rkey if len(refs) > limit else None)


def stats_page(
    db: Database, *, limit: int, after: str | None, owner: str | None = None
) -> Page[RepositoryStats]:
    """Return the stats of all repositories, or of one owner's, by owner and name."""
    did, _, repository = (after or "").partition(" ")
    rows = (
        db.all(_STATS_OF_ALL, (did, repository, limit + 1))
        if owner is None
        else db.all(_STATS_OF_OWNER, (did, repository, owner, limit + 1))
    )
    entries = [RepositoryStats(*row) for row in rows[:limit]]
    last = entries[-1] if len(rows) > limit else None
    return Page(entries, None if last is None else f"{last.did} {last.repository}")


def stored_by(db: Database, dids: Iterable[str]) -> Mapping[str, Stored]:
    """Return what each of `dids` stores."""
    found = {
        did: db.one("SELECT blobs, sizeBytes FROM usage WHERE userDid = ?", (did,)) for did in dids
    }
    return {did: Stored(*(row or (0, 0))) for did, row in found.items()}
