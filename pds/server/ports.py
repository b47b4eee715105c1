"""The ports of a server: for requests, and for metrics if it serves any."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from pds.config import Settings
from pds.server.listening import BoundPort
from pds.server.systemd import HTTP, METRICS, take_sockets

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that a server has taken."""

    http: BoundPort
    metrics: BoundPort | None

    @classmethod
    def take(
        cls,
        stack: AsyncExitStack,
        settings: Settings,
        handed: Mapping[str, list[socket.socket]],
    ) -> Ports:
        """Take the ports until `stack` closes. Raises `ListenError`.

        systemd's sockets come first, whatever their addresses; then those of `handed`, the sockets
        of a server that this one replaces, that have the address of the settings.
        """
        opened = take_sockets()

        def port(kind: str, host: str, number: int) -> BoundPort:
            if kind in opened:
                bound = BoundPort.of(opened[kind])
                _warn_of_other_port(kind, bound, number)
            else:
                bound = BoundPort.bind(host, number, handed.get(kind))
            stack.callback(bound.close)
            return bound

        metrics = settings.metrics
        return cls(
            port(HTTP, settings.bind_address, settings.service.port),
            None if metrics.port is None else port(METRICS, metrics.host, metrics.port),
        )

    @property
    def sockets(self) -> dict[str, tuple[socket.socket, ...]]:
        """The sockets by what they serve, for a server that takes over."""
        ports = {HTTP: self.http, METRICS: self.metrics}
        return {kind: port.sockets for kind, port in ports.items() if port is not None}


def _warn_of_other_port(kind: str, bound: BoundPort, expected: int) -> None:
    others = {each.getsockname()[1] for each in bound.sockets} - {expected}
    if others:
        setting = "PDS_PORT" if kind == HTTP else "PDS_METRICS_PORT"
        _log.warning(
            "systemd listens on another port than the settings say",
            ports=sorted(others),
            remedy=f"Set {setting} to the port of the socket unit: commands look there.",
        )
