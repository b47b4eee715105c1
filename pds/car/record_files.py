"""Records as files: JSON to be read and edited, or DAG-CBOR where JSON would not be exact."""

from __future__ import annotations

from typing import Final

import orjson

from pds.car.file_names import DAG_CBOR, JSON
from repo import dagcbor
from repo.dagcbor import Value
from repo.datamodel import from_json, json_default
from repo.record import decode_record

_OPTIONS: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def json_text(value: Value) -> bytes:
    """A value as indented JSON with a line feed at its end, fields in their order."""
    return orjson.dumps(value, default=json_default, option=_OPTIONS)


def encode_file(value: Value, block: bytes) -> tuple[str, bytes]:
    """The suffix and the contents of the file of a record, `block` being the record's block.

    A record may have what JSON takes for something else, such as a map with the key `$link`; its
    file is the block itself.
    """
    text = json_text(value)
    try:
        is_exact = decode_file(JSON, text) == block
    except ValueError:
        is_exact = False
    return (JSON, text) if is_exact else (DAG_CBOR, block)


def decode_file(suffix: str, content: bytes) -> bytes:
    """The block of a record's file. Raises `ValueError` with what is wrong."""
    if suffix == JSON:
        content = dagcbor.encode_checked(from_json(orjson.loads(content)))
    decode_record(content)
    return content
