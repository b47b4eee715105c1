"""From names in a replica to those that Litestream gives to LTX files on S3, and back.

A directory has `<database>/ltx/9/<txids>.ltx`, where a bucket has `<database>/0009/<txids>.ltx`.
"""

from __future__ import annotations

import re
from typing import Final

_LTX_FILE: Final = r"[0-9a-f]{16}-[0-9a-f]{16}\.ltx"
_NAME: Final = re.compile(rf"(.+)/ltx/([0-9])/({_LTX_FILE})")
_KEY: Final = re.compile(rf"(.+)/000([0-9])/({_LTX_FILE})")
_LEVEL: Final = re.compile(r"([0-9])(/[^/]*)")


def to_key(name: str) -> str:
    """Return the key of a file, without the prefix of the replica."""
    match = _NAME.fullmatch(name)
    return name if match is None else f"{match[1]}/000{match[2]}/{match[3]}"


def to_name(key: str) -> str:
    """Return the name of a file; inverse of `to_key`."""
    match = _KEY.fullmatch(key)
    return key if match is None else f"{match[1]}/ltx/{match[2]}/{match[3]}"


def to_key_prefix(prefix: str) -> str:
    """Return what all keys start with whose names start with `prefix`; others may, too."""
    above, slash, rest = prefix.rpartition("/ltx/")
    if slash:
        level = _LEVEL.fullmatch(rest)
        return f"{above}/" if level is None else f"{above}/000{level[1]}{level[2]}"
    above, slash, rest = prefix.rpartition("/")
    # It could go on with "ltx/".
    return f"{above}{slash}" if rest and "ltx".startswith(rest) else prefix
