"""Readiness messages to systemd, for units with `Type=notify`."""

from __future__ import annotations

import os
import socket
from typing import Final

import structlog

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"

_log = structlog.get_logger(__name__)


def notify(state: str) -> None:
    """Send `state` to the service manager, if it has asked for that; otherwise do nothing.

    Protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # The name of an abstract socket begins with a zero byte.
    name = address.replace("@", "\0", 1) if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), name)
    except OSError as exc:
        _log.warning("cannot notify systemd", state=state, socket=address, reason=str(exc))
