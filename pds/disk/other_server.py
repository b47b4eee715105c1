"""Detecting another server on the data directory that ignores our lock, as the reference PDS does.

A PDS keeps the service database and the event log open in one process, and reads them only
occasionally. Litestream keeps them open, too, and is known by its name, or where it cannot be seen,
by its read transactions, in which it is nearly always while a server writes. Other tools open one
database after another.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.open_elsewhere import UNSEEN, find_holders
from pds.disk.data_directory import DataDirectoryError

if TYPE_CHECKING:
    from pds.config import Settings

SETTING: Final = "PDS_IGNORE_OTHER_SERVER"
_LITESTREAM: Final = "litestream"
"""The name of its program, whether it runs on its own or below `pds replicate`."""
_LOOKS: Final = 10
_PAUSE_S: Final = 0.02


@dataclass(slots=True, frozen=True)
class OtherServer:
    """A process that has the databases open as a server does."""

    pid: int
    """0 if the process is invisible from here."""

    def __str__(self) -> str:
        """Return text such as `node (pid 123)`."""
        if self.pid == UNSEEN:
            return "a process that cannot be seen from here, such as one of another container,"
        return f"{_program_of(self.pid) or 'a process'} (pid {self.pid})"


class DirectoryInUse(DataDirectoryError):
    """Another server uses the directory."""


def refuse_other_server(settings: Settings) -> OtherServer | None:
    """Raise `DirectoryInUse` if another server runs, or return it if the operator allows that.

    The calling process must have no database open yet, and hold the directory, so that no other
    Holdfast server runs. Takes a fifth of a second if there may be another server.
    """
    other = find_other_server(settings)
    if other is None or settings.database.ignore_other_server:
        return other
    raise DirectoryInUse(f"{describe(other, settings)}. {REMEDY}")


def describe(other: OtherServer, settings: Settings) -> str:
    """Describe the problem, as a sentence without its full stop."""
    text = (
        f"{other} has the databases of {settings.data_directory} open as a PDS has, "
        "and two servers on one directory damage it"
    )
    return text[0].upper() + text[1:] if other.pid == UNSEEN else text


REMEDY: Final = f"Stop it first, or set {SETTING}=true if you are sure that it is not a server."


def find_other_server(settings: Settings, *, but: Collection[int] = ()) -> OtherServer | None:
    """Return a server other than the processes `but`; same conditions as `refuse_other_server`."""
    looks = [_look(settings)]
    known = set(but) | {pid for pid in looks[0] if _program_of(pid) == _LITESTREAM}
    while staying := set.intersection(*map(set, looks)) - known:
        if len(looks) == _LOOKS:
            break
        time.sleep(_PAUSE_S)
        looks.append(_look(settings))
    # A replicator leaves its read transaction only for moments; a server is hardly ever in one.
    servers = [pid for pid in staying if sum(look[pid] for look in looks) <= _LOOKS // 2]
    return OtherServer(max(servers)) if servers else None


def _program_of(pid: int) -> str:
    """Return the name of a process's program; empty if it cannot be told."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _look(settings: Settings) -> dict[int, bool]:
    """Map each process that has both databases open to whether it is currently reading both."""
    accounts, log = (
        {holder.pid: holder.is_reading for holder in find_holders(path)}
        for path in (settings.account_db_path, settings.sequencer_db_path)
    )
    return {pid: accounts[pid] and log[pid] for pid in accounts.keys() & log.keys()}
