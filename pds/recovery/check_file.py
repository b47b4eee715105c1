"""The file `holdfast.check`: the next start checks all stores changed since the time in it.

An operator creates an empty file to have all stores checked. Recovery creates one for its own
duration: the events it emits are younger than the crash, so if it is interrupted, they would hide
the crash from the next recovery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from database.files import try_to_replace
from database.timestamps import epoch_s_of, iso_of

if TYPE_CHECKING:
    from pathlib import Path


def read_since_s(path: Path) -> float | None:
    """Return the time in Unix seconds; 0 for all stores, None if no check is requested."""
    try:
        return epoch_s_of(path.read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except ValueError:
        return 0.0


def write_since_s(path: Path, since_s: float) -> None:
    """Request that the next start check the stores changed since a time in Unix seconds."""
    # Failures are ignored: a full disk must not keep the server from starting.
    try_to_replace(path, iso_of(since_s) if since_s > 0 else "")
