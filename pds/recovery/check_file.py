"""The file `holdfast.check`: since when stores may have changed that a start has to look at.

An operator makes an empty one, which means all of them. A recovery makes one for as long as it
lasts: what it tells is younger than the crash, and would hide that from the next one if it is cut
off itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from database.files import try_to_replace
from database.timestamps import epoch_s_of, iso_of

if TYPE_CHECKING:
    from pathlib import Path


def read_since_s(path: Path) -> float | None:
    """The time in Unix seconds; 0 for all stores, None if nothing is asked for."""
    try:
        return epoch_s_of(path.read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except ValueError:
        return 0.0


def write_since_s(path: Path, since_s: float) -> None:
    """Ask the next start to look at what has changed since a time in Unix seconds."""
    # A full disk does not keep the server from starting.
    try_to_replace(path, iso_of(since_s) if since_s > 0 else "")
