"""What systemd hands to a service, and hears from it: sockets, and that it is ready."""

from __future__ import annotations

import os
import socket
from typing import Final

import structlog

from pds.server.listening import ListenError

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
HTTP: Final = "http"
METRICS: Final = "metrics"
"""The name, `FileDescriptorName=`, of sockets for metrics; all others are for requests."""
_FIRST_FD: Final = 3

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


def take_sockets() -> dict[str, list[socket.socket]]:
    """Return the listening sockets that systemd has opened for this process, by what they serve.

    The keys are `METRICS` and `HTTP`; without a socket unit there are none. Call it once. Raises
    `ListenError` for sockets that cannot be served.
    Protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
    """
    pid, number, names = (
        os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    )
    if pid != str(os.getpid()) or not number.isdecimal():
        return {}
    named = names.split(":") if names else []
    named += [""] * (int(number) - len(named))
    sockets: dict[str, list[socket.socket]] = {}
    for fd, name in zip(range(_FIRST_FD, _FIRST_FD + int(number)), named, strict=False):
        sockets.setdefault(METRICS if name == METRICS else HTTP, []).append(_listening(fd))
    return sockets


def _listening(fd: int) -> socket.socket:
    try:
        handed = socket.socket(fileno=fd)
        handed.set_inheritable(False)
        is_right = (
            handed.family in (socket.AF_INET, socket.AF_INET6)
            and handed.type == socket.SOCK_STREAM
            and handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        )
    except OSError as exc:
        raise ListenError(f"File {fd} from systemd is no socket: {exc.strerror}.") from exc
    if not is_right:
        handed.close()
        raise ListenError(
            f"Socket {fd} from systemd does not listen on TCP. Its unit needs ListenStream= with "
            "an address and a port, and Accept=no."
        )
    return handed
