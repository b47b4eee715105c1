"""What a commit is asked to do, checked and computed before the actor is locked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from actor_store.backlinks import Backlink
from repo.cid import Cid
from repo.commit import Action, RecordWrite

if TYPE_CHECKING:
    from repo.datamodel import BlobRef

MAX_WRITES: Final = 200
"""Operations in one commit: the limit of `#commit` events in the Sync specification."""
MAX_EVENT_BYTES: Final = 2_000_000
"""Bytes of the CAR in one commit's event: the limit of the Sync specification."""


class _Unset(Enum):
    UNSET = "unset"


UNSET: Final = _Unset.UNSET
"""No condition, where None means "there must be no record"."""
Unset: TypeAlias = _Unset


@dataclass(slots=True, frozen=True)
class PreparedWrite:
    """One change to a record. A create or update carries the record, a delete does not."""

    action: Action
    collection: str
    rkey: str
    cid: Cid | None = None
    block: bytes | None = None
    """The record in DAG-CBOR, which hashes to `cid`."""
    blobs: tuple[BlobRef, ...] = ()
    """The blobs the record refers to."""
    backlinks: tuple[Backlink, ...] = ()
    swap_record: Cid | Unset | None = UNSET
    """The record that must be there now; None if there must be none."""

    @property
    def path(self) -> str:
        """The key in the MST."""
        return f"{self.collection}/{self.rkey}"

    def of_record(self) -> RecordWrite:
        """The part of it that makes the commit."""
        return RecordWrite(self.action, self.collection, self.rkey, self.cid, self.block)
