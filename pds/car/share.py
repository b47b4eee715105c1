"""How many there are of something, and how much room they take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Share:
    """A number of blocks or blobs, and their bytes."""

    count: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count one more."""
        self.count += 1
        self.size_bytes += size_bytes
