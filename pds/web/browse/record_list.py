"""A page of the records of a collection, newest first, and where the next pages begin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from actor_store.reader import ActorStoreReader
from actor_store.records import RecordRef
from pds.web.browse.record_text import preview_of
from pds.web.browse.times import tid_after, time_of_record, time_of_tid
from repo.odd_record import read_kept
from repo.record import LARGE_BYTES, InvalidRecord
from repo.tid import is_tid

RECORDS_ON_A_PAGE: Final = 50


@dataclass(frozen=True, slots=True)
class RecordLine:
    """A record in a list."""

    rkey: str
    created_at: datetime | None
    preview: str = ""
    large_bytes: int = 0
    """The size of a record that is too large for a preview."""
    fault: str = ""
    """Why the record cannot be shown, if it cannot."""


@dataclass(frozen=True, slots=True)
class RecordList:
    """Records by descending key."""

    lines: list[RecordLine]
    newer_than: str | None
    """The key after which newer records follow; None if this page has the newest."""
    older_than: str | None

    @property
    def has_times(self) -> bool:
        """Whether keys show when records were created."""
        return any(is_tid(line.rkey) for line in self.lines)


def list_records(
    actor: ActorStoreReader, collection: str, *, before: str | None, after: str | None
) -> RecordList:
    """Return the records below the key `before`, or the next ones above `after`, or the newest.

    For a thread: strangers' records may take long.
    """
    refs, has_newer, has_older = _page(actor, collection, before=before, after=after)
    sizes = actor.repo.block_sizes(ref.cid for ref in refs)
    return RecordList(
        [_line(actor, ref, sizes[ref.cid]) for ref in refs],
        newer_than=refs[0].rkey if has_newer else None,
        older_than=refs[-1].rkey if has_older else None,
    )


def list_records_of_day(actor: ActorStoreReader, collection: str, day: date) -> RecordList:
    """Return the records of a day and before it, or if there are none, the next after it.

    By the time in record keys, which may differ from the one a record states. For a thread.
    """
    bound = tid_after(day)
    found = list_records(actor, collection, before=bound, after=None)
    if found.lines:
        return found
    return list_records(actor, collection, before=None, after=bound)


def _page(
    actor: ActorStoreReader, collection: str, *, before: str | None, after: str | None
) -> tuple[list[RecordRef], bool, bool]:
    """Return the records, and whether there are newer and older ones."""

    def some(cursor: str | None, *, newer: bool, limit: int) -> list[RecordRef]:
        return actor.record.list_refs(collection, limit=limit, cursor=cursor, reverse=newer)

    if after is not None:
        found = some(after, newer=True, limit=RECORDS_ON_A_PAGE + 1)
        if len(found) > RECORDS_ON_A_PAGE:
            refs = found[:RECORDS_ON_A_PAGE][::-1]
            return refs, True, bool(some(refs[-1].rkey, newer=False, limit=1))
        before = None  # The rest is on the first page, which is shown completely.
    found = some(before, newer=False, limit=RECORDS_ON_A_PAGE + 1)
    refs = found[:RECORDS_ON_A_PAGE]
    has_newer = bool(before is not None and refs and some(refs[0].rkey, newer=True, limit=1))
    return refs, has_newer, len(found) > RECORDS_ON_A_PAGE


def _line(actor: ActorStoreReader, ref: RecordRef, size_bytes: int) -> RecordLine:
    if size_bytes >= LARGE_BYTES:
        # Reading fifty of these would take a minute.
        return RecordLine(ref.rkey, time_of_tid(ref.rkey), large_bytes=size_bytes)
    try:
        value = read_kept(actor.repo.get_block(ref.cid))
    except InvalidRecord as exc:
        return RecordLine(ref.rkey, time_of_tid(ref.rkey), fault=str(exc))
    return RecordLine(ref.rkey, time_of_record(value, ref.rkey), preview_of(value))
