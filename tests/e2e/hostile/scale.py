"""How much of an attack a test makes: enough to show the effect, or all of it."""

from __future__ import annotations

import os
from typing import Final, TypeVar

T = TypeVar("T")

VARIABLE: Final = "HOLDFAST_HOSTILE"
"""Set to `long` by `make hostile`."""


def scaled(short: T, long: T) -> T:
    """`short` within `make test`, `long` within `make hostile`."""
    return long if os.environ.get(VARIABLE) == "long" else short
