"""How long a test with a real load runs: enough to show the effect, or for minutes."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "HOLDFAST_SOAK"
"""Set to `long` by `make soak`."""


def seconds(short: float, long: float) -> float:
    """`short` within `make test`, `long` within `make soak`."""
    return long if os.environ.get(VARIABLE) == "long" else short
