"""The contents of a record's page: computed at once, so that no value has to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from database.collector import without_collector
from pds.web.browse.record_blobs import NamedBlob, named_blobs
from pds.web.browse.record_text import json_of, text_of
from pds.web.browse.times import time_of_record, time_of_tid
from repo import dagcbor, piecewise
from repo.dagcbor import InvalidDagCbor
from repo.odd_record import read_kept
from repo.record import InvalidRecord


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record, as far as it is shown."""

    text: str | None
    json: str
    is_whole: bool
    """Whether the JSON is the whole record."""
    created_at: datetime | None
    blobs: list[NamedBlob]
    more_blobs: int
    """The number of blobs it refers to besides."""
    fault: str = ""
    """Why the record cannot be shown, if it cannot."""


def view_of(block: bytes, rkey: str) -> RecordView:
    """Return the view of a record that is not large: in up to 60 ms, about 2 ms for each KiB."""
    try:
        return _view(read_kept(block), rkey)
    except InvalidRecord as exc:
        return _nothing(str(exc), rkey)


def view_of_large(block: bytes, rkey: str) -> RecordView:
    """Return the view of any record: for a thread, so that others are not held up."""
    with without_collector():
        try:
            value = piecewise.decode(block)
        except InvalidDagCbor as exc:
            return _nothing(f"it is large, and odd: {exc}", rkey)
        return _view(value, rkey)


def _nothing(fault: str, rkey: str) -> RecordView:
    return RecordView(None, "", True, time_of_tid(rkey), [], 0, fault)


def _view(value: dagcbor.Value, rkey: str) -> RecordView:
    json, is_whole = json_of(value)
    blobs, more_blobs = named_blobs(value)
    return RecordView(
        text_of(value), json, is_whole, time_of_record(value, rkey), blobs, more_blobs
    )
