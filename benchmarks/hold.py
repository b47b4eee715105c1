"""A hold under load: presigned downloads for a crew, and pulls that are counted."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.servers import hold, running
from tests.seaweedfs import SeaweedFs

HOLD: Final = "hold"
"""What `--only` calls these loads."""
GET_BLOB_TARGET: Final = 3_000.0
"""Presigned downloads a second."""
CREW_TARGET: Final = 0.9
"""A crew of 10,000 against one of 10: as fast, but for what two loads differ anyway."""
PULLS_TARGET: Final = 2_000.0
"""Counted pulls a second."""
COMMITS_TARGET: Final = 1.0
"""Commits a second that these pulls may cost, whatever the number of repositories."""
CREW: Final = (10, 10_000)
QUICK_CREW: Final = (10, 400)

_CONNECTIONS: Final = 16
_BUCKET: Final = "bench-hold"
_LAYER: Final = b"a layer" * 1000
_REPOSITORIES: Final = 50
_WRITES: Final = 200
_CREW_RECORD: Final = "io.atcr.hold.crew"
_GET_BLOB: Final = "com.atproto.sync.getBlob"


@dataclass(slots=True)
class HoldFigures:
    """What the hold has shown."""

    crew: tuple[int, ...] = CREW
    get_blob: dict[int, load.Result] = field(default_factory=dict)
    """Presigned downloads, by the size of the crew."""
    pulls: load.Result | None = None
    commits_s: float | None = None
    """Commits a second while pulls were counted."""


@dataclass(slots=True, frozen=True)
class _Captain:
    did: str
    token: str
    """A service token for the hold."""


def measure_hold(seconds: float, crew: tuple[int, int] = CREW) -> HoldFigures:
    """Start S3, a PDS with a private hold, fill it and load it: thrice for a third of `seconds`.

    Raises `RequestFailed`, `ServerFailed` and `LoadFailed`.
    """
    figures = HoldFigures(crew)
    with tempfile.TemporaryDirectory(prefix="bench-s3-") as directory:
        s3 = SeaweedFs.start(Path(directory), "-s3.autoCreateBucket=true")
        try:
            with running(hold(s3.environ(_BUCKET))) as server:
                _measure(server, figures, seconds / 3)
        finally:
            s3.kill()
    return figures
