"""Preparing record writes: everything that can be checked and computed before locking a repo.

A record arrives as JSON and leaves as a write with its canonical bytes and their CID, the blobs it
refers to, and whether there was a Lexicon to validate it against.
"""

from __future__ import annotations

from typing import Any

from actor_store.backlinks import backlinks_of
from actor_store.writes import PreparedWrite
from pds.repos.errors import RecordRefused
from repo import dagcbor, piecewise
from repo.cid import Cid
from repo.commit import Action
from repo.datamodel import find_legacy_blob, from_json, iter_blob_refs
from repo.lexicon import Lexicons
from repo.record import MAX_RECORD_BYTES
from repo.syntax import has_lower_case_authority


def prepare_write(
    lexicons: Lexicons,
    action: Action,
    collection: str,
    rkey: str,
    json: Any,
    *,
    validate: bool | None,
    path: str = "$.record",
    record_path: str | None = None,
    is_large: bool = False,
) -> PreparedWrite:
    """Check and encode a record at `path` of the request, to be created or updated.

    A `validate` of None means to validate only if there is a Lexicon. `record_path`, where it
    differs, is the path that the reference implementation shows in Lexicon errors. A large record
    is encoded piecewise, so that other threads can run meanwhile. Raises `RecordRefused`,
    `InvalidLexicon` or `InvalidDataModel`.
    """
    if not has_lower_case_authority(collection):
        # Consumers may treat it as equal to the lower-case NSID, or reject it.
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
    return PreparedWrite(
        action,
        collection,
        rkey,
        Cid.of_dag_cbor(block),
        block,
        blobs=tuple(iter_blob_refs(value)),
        backlinks=backlinks_of(value),
        validation_status=status,
    )
