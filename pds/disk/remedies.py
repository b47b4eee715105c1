"""Remedies for operators: how to fix a file or setting, with commands that can be pasted.

Commands stand between backticks. `$LITESTREAM_REPLICA` and `$LITESTREAM_REPLICA_OPTIONS` are the
variables of litestream.yml, and `$BACKUP` is a copy of the data directory. Commands contain no
double quotes or backslashes, which the JSON of a log would escape.
"""

from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path
from typing import Final

from database.errors import DatabaseDamaged, DatabaseError, DatabaseForbidden, SchemaGap

_STORE_PARTS: Final = 3
"""Path components of an actor's file below the actors directory: see `actor_store.layout`."""

_SYSTEM_DIRECTORIES: Final = frozenset(
    ("", "etc", "home", "mnt", "opt", "root", "run", "srv", "tmp", "usr", "var")
)
"""Top-level directories that only root may own, whatever a setting says."""


def restore_database(path: Path | str) -> str:
    """Return how to restore a damaged or missing database."""
    path = Path(str(path).removesuffix("-wal")).absolute()
    source = f"$LITESTREAM_REPLICA/{_place_in_backup(path)}$LITESTREAM_REPLICA_OPTIONS"
    return (
        "Stop the server and Litestream. As the server's user, with the variables of "
        "litestream.env, run "
        f"`litestream restore -force -integrity-check full -o {shlex.quote(str(path))} {source}`, "
        "or restore the file from another backup and delete its old -wal and -shm. Start both."
    )


def restore_key(path: Path) -> str:
    """Return how to restore a damaged or missing signing key, if the store beside it is sound."""
    path = path.absolute()
    return (
        "Leave the store as it is. As the server's user, restore the key from a backup, which is "
        "a copy of the data directory in $BACKUP, with "
        f"`install --mode=600 $BACKUP/{_place_in_backup(path)} {shlex.quote(str(path))}`, and "
        "restart the server. Without a backup, "
        f"`pds key rotate {path.parent.name}` gives the account a new one."
    )


def give_to_server(path: Path | str) -> str:
    """Return how to give a file or directory of another user, such as root, to this process's user.

    The commands only ever name the server's own files: an actor's directories, or `path` itself.
    """
    path = Path(path).absolute()
    if _is_read_only(path):
        return "Its file system is mounted read-only: see the kernel log for why, and fix that."
    own = _directories_of_actor(path)
    closed = next((above for above in reversed(path.parents) if not _lets_in(above)), None)
    if closed is not None and closed not in own:
        return f"Uid {os.geteuid()} may not enter {closed}: allow it to, or use another directory."
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
    """Return the actor's directory and its two-hex-digit parent; nothing for other paths."""
    return tuple(path.parents[:2]) if path.parent.name.startswith("did:") else ()


def _lets_in(directory: Path) -> bool:
    return not directory.exists() or os.access(directory, os.X_OK)


def mend_database(exc: DatabaseError) -> str:
    """Return what to do about a database error; empty if there is no remedy."""
    if isinstance(exc, DatabaseDamaged | SchemaGap):
        return restore_database(exc.path)
    if isinstance(exc, DatabaseForbidden):
        return give_to_server(exc.path)
    return f"{exc.hint[:1].upper()}{exc.hint[1:]}." if exc.hint else ""


def mend_rotation_key() -> str:
    """Return what to do if the server's rotation key is not among those of a DID."""
    return (
        "Set PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX to the key that the accounts were made "
        "with; `pds doctor --identities` then finds nothing wrong with them. If it is that key, "
        "the owner has removed it from the DID, and has to add it again."
    )


def _place_in_backup(path: Path) -> str:
    """Return the path of a file in litestream.yml's replicas and copies of the data directory."""
    if path.name in ("store.sqlite", "key"):
        return shlex.quote("/".join(("actors", *path.parts[-_STORE_PARTS:])))
    return shlex.quote(path.name)


def _is_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:  # Missing or inaccessible.
        return False


def _own_name() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
