"""Preparing record writes: all that can be checked and computed before a repo is locked.

A record arrives as JSON; what leaves is canonical bytes with their CID, the blobs they refer
to, and whether there was a Lexicon to validate them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actor_store.backlinks import Backlink, backlinks_of
from actor_store.writes import UNSET, PreparedWrite, Unset
from pds.repos.errors import RecordRefused
from repo import dagcbor, piecewise
from repo.cid import Cid
from repo.commit import Action
from repo.datamodel import BlobRef, find_legacy_blob, from_json, iter_blob_refs
from repo.lexicon import Lexicons
from repo.record import MAX_RECORD_BYTES
from repo.syntax import has_lower_case_authority


@dataclass(slots=True, frozen=True)
class PreparedRecord:
    """A record's canonical bytes, and what a write needs to know of it."""

    cid: Cid
    block: bytes
    blobs: tuple[BlobRef, ...]
    backlinks: tuple[Backlink, ...]
    validation_status: str | None
    """`valid`, `unknown`, or None where the caller turned validation off."""

    def write(
        self,
        action: Action,
        collection: str,
        rkey: str,
        *,
        swap_record: Cid | Unset | None = UNSET,
    ) -> PreparedWrite:
        """The write that puts the record into a repo."""
        return PreparedWrite(
            action,
            collection,
            rkey,
            cid=self.cid,
            block=self.block,
            blobs=self.blobs,
            backlinks=self.backlinks,
            swap_record=swap_record,
        )


def prepare_record(
    lexicons: Lexicons,
    *,
    collection: str,
    rkey: str,
    json: Any,
    validate: bool | None,
    path: str = "$.record",
    record_path: str | None = None,
    is_large: bool = False,
) -> PreparedRecord:
    """Check and encode a record that stands at `path` of the request.

    `validate` None means: if there is a Lexicon. `record_path` is what the reference calls the
    place in messages about the Lexicon, where that differs. `is_large` is for a thread, beside
    which others are to go on. Raises `RecordRefused`, `InvalidLexicon` or `InvalidDataModel`.
    """
    if not has_lower_case_authority(collection):
        # Consumers may take it for the same as in lower case, or refuse it.
        raise RecordRefused(f"Upper-case letters in the authority of an NSID: {collection}")
    value = from_json(json, path=path)
    if not isinstance(value, dict):
        raise RecordRefused(f"Expected object value type at {path}")
    declared = value.setdefault("$type", collection)
    if declared != collection:
        raise RecordRefused(f"Invalid $type: expected {collection}, got {declared!s:.200}")
    status = None
    if validate is not False:
        status = "valid" if lexicons.is_known_record(collection) else "unknown"
        if status == "valid" or validate:
            lexicons.validate_record(collection, rkey, value, root=record_path or path)
    legacy = find_legacy_blob(value)
    if legacy is not None:
        raise RecordRefused(f"Legacy blobs are not allowed ({legacy})")
    block = piecewise.encode(value) if is_large else dagcbor.encode_checked(value)
    if len(block) > MAX_RECORD_BYTES:
        raise RecordRefused(f"Record is larger than {MAX_RECORD_BYTES} bytes")
    return PreparedRecord(
        Cid.of_dag_cbor(block),
        block,
        blobs=tuple(iter_blob_refs(value)),
        backlinks=backlinks_of(value),
        validation_status=status,
    )
