"""Records as files: JSON to be read and edited, or DAG-CBOR where JSON would not be exact."""

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
    """A value as indented JSON with a line feed at its end, fields in their order."""
    return orjson.dumps(value, default=json_default, option=_OPTIONS)


def encode_file(block: bytes) -> tuple[str, bytes]:
    """The suffix and the contents of the file of a record.

    A record may have what JSON takes for something else, such as a map with the key `$link`, or be
    odd; its file is the block itself.
    """
    try:
        text = json_text(decode_record(block))
        is_exact = decode_file(JSON, text) == block
    except ValueError:
        return DAG_CBOR, block
    return (JSON, text) if is_exact else (DAG_CBOR, block)


def decode_file(suffix: str, content: bytes) -> bytes:
    """The block of a record's file. Raises `ValueError` with what is wrong.

    What is not JSON may be an odd record.
    """
    if suffix == JSON:
        content = dagcbor.encode_checked(from_json(orjson.loads(content)))
        decode_record(content)
    elif has_node_form(content):
        raise InvalidRecord(NODE_FORM)
    elif len(content) > MAX_BLOCK_BYTES:
        raise InvalidRecord(f"it has {len(content):,} bytes, of {MAX_BLOCK_BYTES:,} allowed")
    return content
