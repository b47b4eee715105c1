"""Finds the processes that use a data directory, without creating a lock file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from database.open_elsewhere import UNSEEN, find_flock_pids, is_open
from pds.config import Settings
from pds.disk.data_directory import LOCK_FILE, find_holder
from pds.disk.other_server import REMEDY, SETTING, OtherServer, describe, find_other_server
from pds.doctor.finding import Finding

CHECK: Final = "server"


@dataclass(slots=True, frozen=True)
class Users:
    """The processes that may write. A pid is `unknown` if the process left none."""

    server_pid: str | None
    """The Holdfast server that holds the directory."""
    others: bool
    """Whether another process has the service database open."""
    other_server: OtherServer | None
    """A server that ignores the directory's lock, such as the reference PDS."""

    @property
    def are_there(self) -> bool:
        """Whether files may change."""
        return self.server_pid is not None or self.others

    def finding(self, settings: Settings) -> Finding:
        """Return the finding for the operator."""
        directory = settings.data_directory
        if self.other_server is not None:
            return self._two_servers(self.other_server, settings)
        message = "none is running"
        if self.server_pid is not None:
            message = f"pid {self.server_pid} is running"
        elif self.others:
            message = "none is running, but a tool or Litestream has databases open"
        return Finding.ok(CHECK, directory, message)

    def _two_servers(self, other: OtherServer, settings: Settings) -> Finding:
        message = describe(other, settings)
        if settings.database.ignore_other_server:
            remedy = f"If it is a server, stop it and unset {SETTING}."
            return Finding.warning(CHECK, settings.data_directory, message, remedy)
        if self.server_pid is not None:
            message += f"; Holdfast runs too (pid {self.server_pid})"
        return Finding.error(CHECK, settings.data_directory, message, REMEDY)


def find_users(settings: Settings) -> Users:
    """Check the lock of the data directory and those of the databases."""
    server_pid = find_holder(settings.data_directory)
    # The pid in the file is the server's own view, perhaps inside a container.
    holdfast = (
        find_flock_pids(settings.data_directory / LOCK_FILE) or {UNSEEN}
        if server_pid is not None
        else ()
    )
    other = find_other_server(settings, but=holdfast)
    return Users(server_pid, is_open(settings.account_db_path), other)
