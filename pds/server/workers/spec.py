"""What a worker is started with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from aiohttp import web

from pds.config import Settings
from pds.context import AppContext
from pds.peers.sockets import socket_of

MoreRoutes: TypeAlias = Callable[[AppContext], Iterable[web.RouteDef]]
"""Makes the routes that are served beside the server's own: a function of a module."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker of a server: values that can be pickled."""

    number: int
    workers: int
    """How many there are."""
    settings: Settings
    environ: Mapping[str, str]
    """The variables that the settings come from."""
    directory: Path
    """Where the processes of the server listen to each other."""
    more_routes: MoreRoutes | None

    @property
    def socket(self) -> Path:
        """Where this worker listens to the others."""
        return socket_of(self.directory, self.number)
