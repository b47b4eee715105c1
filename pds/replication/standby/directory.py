"""The directory of a standby: locked while it is written to, and told from that of a server.

`standby.sqlite` is there from the first moment until a promotion is complete. As long as it is
there, no server starts on the directory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.wal import files_of
from pds.disk.data_directory import LOCK_FILE, STANDBY_FILE, DataDirectoryLock
from pds.disk.network_filesystem import find_network_type
from pds.replication.errors import ForeignReplica, ReplicationError
from pds.replication.standby.state import StandbyState

if TYPE_CHECKING:
    from pds.replication.restore.target import RestoreTarget

STATUS_FILE: Final = "standby.json"
STOP_FILE: Final = "standby.stop"
"""Asks the process that follows the replica to stop: a promotion waits for the directory."""
_OPTION: Final = "--to"
_SOURCE: Final = "source"
_SERVICE: Final = "serviceDid"


class NoStandby(ReplicationError):
    """A directory that is no standby, or not one of this replica."""


def is_standby(directory: Path) -> bool:
    """Whether a directory is that of a standby."""
    return (directory / STANDBY_FILE).exists()


@contextmanager
def holding_standby(target: RestoreTarget) -> Iterator[StandbyState]:
    """Lock the directory of a new or existing standby within a block, and open its state.

    A new one is only left behind if the block has called `settle`. Raises `TargetNotEmpty` if the
    directory has anything else, `DataDirectoryError`s, also while another process holds it, and
    `DatabaseError`s.
    """
    directory = target.directory
    if not is_standby(directory):
        target.check_empty()
        _refuse_network(directory)
    with _locked(directory) as lock:
        if not is_standby(directory):
            target.check_empty()
        (directory / STOP_FILE).unlink(missing_ok=True)
        state = StandbyState.open(directory / STANDBY_FILE)
        try:
            yield state
        finally:
            is_used = state.get(_SOURCE) is not None
            state.close()
            if not is_used:
                _leave_nothing(directory, lock)


@contextmanager
def promoting(directory: Path) -> Iterator[StandbyState]:
    """Lock the directory of a standby within a block, and open its state.

    After the block, unless it raises, this is an ordinary data directory. Raises `NoStandby`,
    `DataDirectoryError`s and `DatabaseError`s.
    """
    require_standby(directory)
    with _locked(directory):
        require_standby(directory)
        state = StandbyState.open(directory / STANDBY_FILE)
        try:
            yield state
        finally:
            state.close()
        forget_standby(directory)


def settle(state: StandbyState, directory: Path, *, source: str, service_did: str) -> None:
    """Note of which replica this is a standby, or check that it is the same as before.

    Raises `NoStandby` and `ForeignReplica`.
    """
    known = state.get(_SOURCE)
    if known is None:
        state.set(_SERVICE, service_did)
        state.set(_SOURCE, source)
        return
    if known != source:
        raise NoStandby(
            f"{directory} is a standby from {known}, not from {source}. Give the same URL, or "
            "another directory."
        )
    if state.get(_SERVICE) != service_did:
        raise ForeignReplica(
            f"{directory} is a standby of {state.get(_SERVICE)}, and {source} is now the "
            f"replica of {service_did}: use another directory"
        )


def source_of(state: StandbyState) -> str:
    """Return the URL of the replica, without secrets; empty if there was none yet."""
    return state.get(_SOURCE) or ""


def service_of(state: StandbyState) -> str:
    """Return the DID of the server; empty if the replica was never reached."""
    return state.get(_SERVICE) or ""


def require_standby(directory: Path) -> None:
    """Raise `NoStandby` if a directory is not that of a standby."""
    if not is_standby(directory):
        raise NoStandby(f"there is no standby in {directory}: it has no {STANDBY_FILE}")


def forget_standby(directory: Path) -> None:
    """Make an ordinary data directory of a standby. The state must be closed."""
    for name in (STATUS_FILE, STOP_FILE):
        (directory / name).unlink(missing_ok=True)
    # The database goes last: with a lone WAL, the directory would be neither.
    for path in reversed(files_of(directory / STANDBY_FILE)):
        path.unlink(missing_ok=True)


@contextmanager
def _locked(directory: Path) -> Iterator[DataDirectoryLock]:
    lock = DataDirectoryLock.acquire(directory, option=_OPTION, for_standby=True)
    try:
        yield lock
    finally:
        lock.release()


def _leave_nothing(directory: Path, lock: DataDirectoryLock) -> None:
    """Let the operator try again with another URL or secret."""
    forget_standby(directory)
    if lock.made_directory:
        (directory / LOCK_FILE).unlink(missing_ok=True)
        with suppress(OSError):
            directory.rmdir()


def _refuse_network(directory: Path) -> None:
    kind = find_network_type(directory)
    if kind is not None:
        raise ReplicationError(
            f"{directory} is on a network file system ({kind}), where SQLite loses data: use a "
            "local disk"
        )
