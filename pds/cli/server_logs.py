"""The logs of a command that runs a server, as configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pds.config import Settings
from pds.monitoring.logs import Logs, configure_logs


@contextmanager
def server_logs(settings: Settings) -> Iterator[Logs]:
    """Set up the logs for the `with` block. Raises `OSError` for a file that cannot be written."""
    logs = configure_logs(
        level=settings.logging.level,
        enabled=settings.logging.enabled,
        systems=settings.logging.systems,
        destination=settings.logging.destination,
    )
    try:
        yield logs
    finally:
        logs.flush()
