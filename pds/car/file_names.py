"""File names for record keys: reversible, on every file system.

    app.bsky.feed.post/3k2a…      app.bsky.feed.post/3k2a….json
    com.example.note/a:b          com.example.note/a%3ab.json
    com.example.fooBar/CON        com.example.foo%42ar/%43%4f%4e.json
    com.example.note/aaaa…        com.example.note/aaaa…%/%aaa.json

Lower-case letters, digits, `-`, `_` and `.` stand for themselves. Everything else, and anything
special at the beginning of a name, becomes `%` and two lower-case hexadecimal digits. So no two
keys collide on case-insensitive file systems, none is hidden, none leads out of its directory, and
`urllib.parse.unquote` decodes them. A part that exceeds the length of a name is split and
continues in a subdirectory, with `%` on both sides of the split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from repo.syntax import InvalidSyntax
from repo.verify import split_key

JSON: Final = ".json"
DAG_CBOR: Final = ".dag-cbor"
COMMIT: Final = "_commit.json"
"""The commit's file; no collection begins with an underscore."""

MAX_NAME_LENGTH: Final = 200
"""Characters of a part before it is split; file systems allow 255 bytes."""
MAX_PARTS: Final = 16
"""More than the pieces of the longest collection and rkey with every character escaped."""

_CUT: Final = "%"
_SPECIAL: Final = re.compile(r"[^a-z0-9._-]")
# Names that Windows treats as devices, with any extension.
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)").match
_ESCAPED: Final = re.compile(r"%([0-9a-f]{2})")


class NotAFileName(Exception):
    """The path is not one that `path_of` returns."""


def path_of(key: str) -> PurePosixPath:
    """Return the relative path of a record's file, without suffix. Raises `InvalidSyntax`."""
    parts = (piece for part in split_key(key) for piece in _cut(_encode(part)))
    return PurePosixPath(*parts)


def key_of(path: PurePosixPath) -> str:
    """Return the key of a path from `path_of`. Raises `NotAFileName` for any other."""
    joined = str(path).replace(f"{_CUT}/{_CUT}", "")
    key = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), joined)
    try:
        expected = path_of(key)
    except InvalidSyntax as exc:
        raise NotAFileName(f"it is not that of a record: {exc}") from exc
    if expected != path:
        raise NotAFileName(f"the file of record {key} has to be {expected}{JSON}")
    return key


def is_ignored(name: str) -> bool:
    """Whether a name belongs to leftovers of programs: no record's name begins with a dot."""
    return name.startswith(".")


def _encode(part: str) -> str:
    encoded = _SPECIAL.sub(lambda match: _escape(match[0]), part)
    if encoded[0] in "-._" or _DEVICE(encoded):
        encoded = _escape(encoded[0]) + encoded[1:]
    # Windows drops a trailing dot from a directory's name.
    return encoded[:-1] + _escape(".") if encoded.endswith(".") else encoded


def _escape(char: str) -> str:
    return f"%{ord(char):02x}"


def _cut(encoded: str) -> Iterator[str]:
    """Yield the pieces of a part, each with the mark at its splits."""
    pieces = [
        encoded[start : start + MAX_NAME_LENGTH]
        for start in range(0, len(encoded), MAX_NAME_LENGTH)
    ]
    last = len(pieces) - 1
    for number, piece in enumerate(pieces):
        yield f"{_CUT if number else ''}{piece}{_CUT if number < last else ''}"
