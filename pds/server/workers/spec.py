"""What a worker is started with."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pds.config import Settings
from pds.disk.data_directory import DataDirectoryLock
from pds.peers.sockets import socket_of


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker of a server. It can be pickled for a process that is being started."""

    number: int
    workers: int
    """How many there are."""
    settings: Settings
    environ: Mapping[str, str]
    """The variables that the settings come from."""
    directory: Path
    """Where the processes of the server listen to each other."""
    listening: tuple[socket.socket, ...]
    """The sockets that clients connect to."""
    lock: DataDirectoryLock
    """Held open, so that the data directory stays locked until the last process has ended."""

    @property
    def socket(self) -> Path:
        """Where this worker listens to the others."""
        return socket_of(self.directory, self.number)
