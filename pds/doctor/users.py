"""Who uses a data directory while it is examined, found out without making a lock file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pds.data_directory import find_holder
from pds.doctor.finding import Finding
from pds.doctor.inspection import in_use

CHECK: Final = "server"


@dataclass(slots=True, frozen=True)
class Users:
    """The processes that may write. A pid is `unknown` if its process has left none."""

    server_pid: str | None
    """The Holdfast server that holds the directory."""
    others: bool
    """Whether some other process has the service database open."""

    @property
    def are_there(self) -> bool:
        """Whether files may change."""
        return self.server_pid is not None or self.others

    def finding(self, directory: Path) -> Finding:
        """Tell the operator."""
        message = "none is running"
        if self.server_pid is not None:
            message = f"pid {self.server_pid} is running"
        elif self.others:
            message = (
                "Holdfast is not running, but another program has the databases open: "
                "the reference PDS, or a tool"
            )
        return Finding.ok(CHECK, directory, message)


def find_users(directory: Path, account_db: Path) -> Users:
    """Look at the lock of the data directory and at those of the service database."""
    return Users(find_holder(directory), in_use(account_db))
