"""What Litestream's error messages mean, and which parts of them nobody may read.

Litestream tells of a failure in one sentence that names each step on the way down, ending with the
words of the operating system, SQLite or the replica's server.
"""

from __future__ import annotations

import re
from typing import Final

from pds.replication.errors import Trouble

_LONGEST: Final = 600
"""Characters of a message that are passed on: a server's answer may quote a whole page."""
_PASSWORD: Final = re.compile(r"(://[^\s/:@]*):[^\s/@]*@")
_AT_REPLICA: Final = (
    *("replica sync:", "get replica position:", "remote l0 file", "copy l0 file"),
    *("calc pos:", "max ltx file:", "write ltx file:"),
)
"""Steps at which Litestream talks to the replica; at all others it works on the database."""

_EITHER: Final[tuple[tuple[Trouble, tuple[str, ...]], ...]] = (
    (Trouble.NOT_REGISTERED, ("database not found", "database not open")),
    # Without a file there is nothing to send, for which a sync waits in vain.
    (Trouble.DATABASE_GONE, ("no position, waiting for data", "unable to open database file")),
    (
        Trouble.LOCAL_STATE_DAMAGED,
        (
            "ltx file corrupted",
            "ltx file missing",
            "decode ltx",
            "verify ltx file",
            "open ltx file",
        ),
    ),
    (Trouble.DATABASE_DAMAGED, ("malformed", "file is not a database", "invalid db page size")),
    (Trouble.DATABASE_BUSY, ("database is locked", "sqlite_busy", "database table is locked")),
)
_NO_ROOM: Final = (
    *("no space left on device", "disk quota exceeded", "disk is full", "disk full"),
    *("quotaexceeded", "storagefull", "statuscode: 507", "entitytoolarge"),
)
_NOT_ALLOWED: Final = ("permission denied", "read-only file system", "readonly database")
_REFUSED: Final = (
    *_NOT_ALLOWED,
    *("operation not permitted", "not a directory", "invalid replica url"),
    *("statuscode: 301", "statuscode: 400", "statuscode: 401", "statuscode: 403"),
    *("nosuchbucket", "accessdenied", "invalidaccesskeyid", "signaturedoesnotmatch"),
    *("no ec2 imds role found", "failed to refresh cached credentials", "unable to authenticate"),
    *("x509:", "tls: failed to verify", "server gave http response to https client"),
)
_GONE: Final = ("no such file or directory", "no wal")


def trouble_of(message: str) -> Trouble:
    """Return what an error message of the daemon is about."""
    text = message.lower()
    for trouble, signs in _EITHER:
        if _has(text, signs):
            return trouble
    if _has(text, _AT_REPLICA) or "invalid replica url" in text:
        return _trouble_at_replica(text)
    if _has(text, _NO_ROOM):
        return Trouble.DISK_FULL
    if _has(text, _NOT_ALLOWED):
        return Trouble.FORBIDDEN
    if _has(text, _GONE):
        return Trouble.DATABASE_GONE
    return Trouble.TIMED_OUT if "deadline exceeded" in text else Trouble.OTHER


def printable(message: str) -> str:
    """Return a message as it may be logged: without passwords in URLs, and of bounded length."""
    text = _PASSWORD.sub(r"\1:***@", message)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _trouble_at_replica(text: str) -> Trouble:
    if _has(text, _NO_ROOM):
        return Trouble.REPLICA_FULL
    return Trouble.REPLICA_REFUSED if _has(text, _REFUSED) else Trouble.REPLICA_UNAVAILABLE


def _has(text: str, signs: tuple[str, ...]) -> bool:
    return any(sign in text for sign in signs)
