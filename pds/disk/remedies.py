"""What an operator does to mend a file or a setting: commands between backticks that work as is.

`$LITESTREAM_REPLICA` and `$LITESTREAM_REPLICA_OPTIONS` are the variables of litestream.yml, and
`$BACKUP` is a copy of the data directory. No command has double quotes or backslashes, which the
JSON of a log would change.
"""

from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path
from typing import Final

from database.errors import DatabaseDamaged, DatabaseError, DatabaseForbidden, SchemaGap

_STORE_PARTS: Final = 3
"""Of the path of an actor's file, below the directory of actors: see `actor_store.layout`."""

_SYSTEM_DIRECTORIES: Final = frozenset(
    ("", "etc", "home", "mnt", "opt", "root", "run", "srv", "tmp", "usr", "var")
)
"""Below the root; what no user but root is given, whatever a setting says."""


def restore_database(path: Path | str) -> str:
    """How to bring a database back that is damaged or gone."""
    path = Path(str(path).removesuffix("-wal")).absolute()
    source = f"$LITESTREAM_REPLICA/{_place_in_backup(path)}$LITESTREAM_REPLICA_OPTIONS"
    return (
        "Stop the server and Litestream. As the server's user, with the variables of "
        "litestream.env, run "
        f"`litestream restore -force -integrity-check full -o {shlex.quote(str(path))} {source}`, "
        "or put the file back from another backup, without a -wal and -shm of before. Start both."
    )


def restore_key(path: Path) -> str:
    """How to bring a signing key back that is damaged or gone. The store beside it is sound."""
    path = path.absolute()
    return (
        "Leave the store as it is. As the server's user, restore the key from a backup, which is "
        "a copy of the data directory in $BACKUP, with "
        f"`install --mode=600 $BACKUP/{_place_in_backup(path)} {shlex.quote(str(path))}`, and "
        "start the server anew. Without a backup, "
        f"`pds key rotate {path.parent.name}` gives the account a new one."
    )


def give_to_server(path: Path | str) -> str:
    """How to let the user of this process have a file or directory of another user, such as root.

    Only what is the server's own is ever named: an actor's directories, or `path` itself.
    """
    path = Path(path).absolute()
    if _is_read_only(path):
        return "Its file system is mounted read-only: see in the kernel log why, and mend that."
    own = _directories_of_actor(path)
    closed = next((above for above in reversed(path.parents) if not _lets_in(above)), None)
    if closed is not None and closed not in own:
        return f"Uid {os.geteuid()} may not enter {closed}: let it in, or use another directory."
    whole = closed or (own[0] if own else path)
    if len(whole.parts) <= 2 and whole.name in _SYSTEM_DIRECTORIES:
        return "Use a directory that is the server's own."
    name = shlex.quote(str(whole))
    if whole.is_dir():
        return f"As root, run `chown --recursive {_own_name()}: {name}`."
    if not whole.exists():
        return f"As root, run `install --directory --owner={_own_name()} --mode=750 {name}`."
    beside = "*" if whole.name.endswith(".sqlite") else ""
    return f"As root, run `chown {_own_name()}: {name}{beside}`."


def _directories_of_actor(path: Path) -> tuple[Path, ...]:
    """The actor's directory, and the one of two hex digits above; nothing for other paths."""
    return tuple(path.parents[:2]) if path.parent.name.startswith("did:") else ()


def _lets_in(directory: Path) -> bool:
    return not directory.exists() or os.access(directory, os.X_OK)


def mend_database(exc: DatabaseError) -> str:
    """What to do about a database that does not work; empty if there is nothing to say."""
    if isinstance(exc, DatabaseDamaged | SchemaGap):
        return restore_database(exc.path)
    if isinstance(exc, DatabaseForbidden):
        return give_to_server(exc.path)
    return f"{exc.hint[:1].upper()}{exc.hint[1:]}." if exc.hint else ""


def mend_rotation_key() -> str:
    """What to do if the server's rotation key is not that of a DID."""
    return (
        "Set PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX to the key that the accounts were made "
        "with; `pds doctor --identities` then finds nothing wrong with them. If it is that key, "
        "the owner has taken it out of the DID, and has to add it again."
    )


def _place_in_backup(path: Path) -> str:
    """Where litestream.yml and copies of the data directory have a file."""
    if path.name in ("store.sqlite", "key"):
        return shlex.quote("/".join(("actors", *path.parts[-_STORE_PARTS:])))
    return shlex.quote(path.name)


def _is_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:  # Nothing that can be looked at.
        return False


def _own_name() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
