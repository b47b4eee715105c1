"""Records as files: JSON for reading and editing, or DAG-CBOR where JSON would not be exact."""

from __future__ import annotations

from typing import Final

import orjson

from pds.car.file_names import DAG_CBOR, JSON
from repo import dagcbor
from repo.car import MAX_BLOCK_BYTES
from repo.dagcbor import Value
from repo.datamodel import from_json, json_default
from repo.record import NODE_FORM, InvalidRecord, decode_record, has_node_form

_OPTIONS: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def json_text(value: Value) -> bytes:
    """Return a value as indented JSON with a final line feed, fields in order."""
    return orjson.dumps(value, default=json_default, option=_OPTIONS)


def encode_file(block: bytes) -> tuple[str, bytes]:
    """Return the suffix and the contents of a record's file.

    If a record contains something ambiguous in JSON, such as a map with the key `$link`, or is odd,
    its file is the block itself.
    """
    try:
        text = json_text(decode_record(block))
        is_exact = decode_file(JSON, text) == block
    except ValueError:
        return DAG_CBOR, block
    return (JSON, text) if is_exact else (DAG_CBOR, block)


def decode_file(suffix: str, content: bytes) -> bytes:
    """Return the block of a record's file. Raises `ValueError` with the reason.

    A file that is not JSON may be an odd record.
    """
    if suffix == JSON:
        content = dagcbor.encode_checked(from_json(orjson.loads(content)))
        decode_record(content)
    elif has_node_form(content):
        raise InvalidRecord(NODE_FORM)
    elif len(content) > MAX_BLOCK_BYTES:
        raise InvalidRecord(f"it has {len(content):,} bytes, of {MAX_BLOCK_BYTES:,} allowed")
    return content
