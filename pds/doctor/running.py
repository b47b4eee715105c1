"""Whether a Holdfast server holds a data directory, without making a lock file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pds.data_directory import LOCK_FILE


def find_holder(directory: Path) -> str | None:
    """The pid of the server that holds `directory` (`unknown` if it has left none), or None."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return None
    try:
        # Shared and dropped at once: readers do not meet each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
    finally:
        os.close(descriptor)
    return None
