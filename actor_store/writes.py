"""The requested writes of a commit, checked and encoded before the actor is locked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from actor_store.backlinks import Backlink
from repo.cid import Cid
from repo.commit import RecordWrite

if TYPE_CHECKING:
    from repo.datamodel import BlobRef

MAX_WRITES: Final = 200
"""Operations in one commit: the limit of `#commit` events in the Sync specification."""
MAX_EVENT_BYTES: Final = 2_000_000
"""Bytes of the CAR in one commit's event: the limit of the Sync specification."""


class _Unset(Enum):
    UNSET = "unset"


UNSET: Final = _Unset.UNSET
"""No condition; None means "there must be no record"."""
Unset: TypeAlias = _Unset


@dataclass(slots=True, frozen=True)
class PreparedWrite(RecordWrite):
    """A change to one record, with what the actor store needs to know about the record."""

    blobs: tuple[BlobRef, ...] = ()
    """The blobs the record refers to."""
    backlinks: tuple[Backlink, ...] = ()
    swap_record: Cid | Unset | None = UNSET
    """The CID that the current record must have; None if there must be no record."""
    validation_status: str | None = None
    """`valid`, `unknown`, or None if not validated; used only in the response."""
