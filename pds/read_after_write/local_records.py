"""The records of an account that its AppView has not indexed: those of commits after a rev."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from actor_store.reader import ActorStoreReader
from actor_store.records import StoredRecord
from database.timestamps import epoch_ms_of
from repo import dagcbor
from repo.dagcbor import InvalidDagCbor
from repo.lexicon import InvalidLexicon, Lexicons
from repo.odd_record import read_kept
from repo.record import InvalidRecord

POST: Final = "app.bsky.feed.post"
PROFILE: Final = "app.bsky.actor.profile"
_PROFILE_RKEY: Final = "self"

MAX_RECORDS: Final = 10
"""Records of any kind that are examined: an AppView that is far behind is not compensated for."""
_MAX_BYTES: Final = 64 * 1024
"""Their total size: posts and profiles rarely exceed one kilobyte each."""


@dataclass(slots=True, frozen=True)
class LocalRecord:
    """A record that satisfies the Lexicon of its type."""

    uri: str
    cid: str
    value: dict[str, Any]
    """A value of the data model: links are `Cid`s."""
    indexed_at: str


@dataclass(slots=True, frozen=True)
class LocalRecords:
    """What the AppView has not indexed, and the current profile. At least one thing is new."""

    posts: tuple[LocalRecord, ...]
    """Oldest first."""
    new_profile: LocalRecord | None
    profile: dict[str, Any] | None
    """The profile, new or not, which may have an older form than its Lexicon says."""

    def lag_ms(self, now_ms: int) -> int:
        """Return how long the oldest of these records has been missing from the AppView, in ms."""
        new = self.posts if self.new_profile is None else (*self.posts, self.new_profile)
        return max(0, now_ms - epoch_ms_of(min(record.indexed_at for record in new)))


def find_local_records(
    actor: ActorStoreReader, rev: str, lexicons: Lexicons
) -> LocalRecords | None:
    """Find posts and profile written after `rev`; None if there are none.

    None also if nothing was written until `rev`: then it is the rev of another repository, such as
    the account's before it moved here.
    """
    newer = _without_large(actor.record.list_since(rev, limit=MAX_RECORDS))
    if not newer:
        return None
    posts = tuple(_valid(newer, actor.record.uri(POST, ""), lexicons))
    new_profile = next(_valid(newer, actor.record.uri(PROFILE, _PROFILE_RKEY), lexicons), None)
    if (not posts and new_profile is None) or not actor.record.any_until(rev):
        return None
    return LocalRecords(posts, new_profile, _find_profile(actor))


def _without_large(records: Iterable[StoredRecord]) -> list[StoredRecord]:
    room, kept = _MAX_BYTES, []
    for record in records:
        if len(record.block) <= room:
            room -= len(record.block)
            kept.append(record)
    return kept


def _valid(
    records: Iterable[StoredRecord], prefix: str, lexicons: Lexicons
) -> Iterator[LocalRecord]:
    """Yield those whose URI starts with `prefix`, except what an AppView would not show either."""
    for record in records:
        if not record.uri.startswith(prefix) or record.takedown_ref is not None:
            continue
        collection, rkey = record.uri.rsplit("/", 2)[1:]
        with suppress(InvalidLexicon, InvalidDagCbor):
            value: Any = dagcbor.decode_trusted(record.block)
            lexicons.validate_record(collection, rkey, value)
            yield LocalRecord(record.uri, str(record.cid), value, record.indexed_at)


def _find_profile(actor: ActorStoreReader) -> dict[str, Any] | None:
    stored = actor.record.find(PROFILE, _PROFILE_RKEY)
    if stored is not None and len(stored.block) <= _MAX_BYTES:
        with suppress(InvalidRecord):
            return read_kept(stored.block)
    return None
