"""How long a test with a real load runs: enough to show the effect, or for minutes."""

from __future__ import annotations

import os
from typing import Final

import pytest

VARIABLE: Final = "HOLDFAST_SOAK"
"""Set to `long` by `make soak`."""


def seconds(short: float, long: float) -> float:
    """`short` within `make test`, `long` within `make soak`."""
    return long if os.environ.get(VARIABLE) == "long" else short


at_length_only = pytest.mark.skipif(
    os.environ.get(VARIABLE) != "long", reason="takes too long for `make test`: see `make soak`"
)
"""Marks tests that wait for outages and leases, or kill and restore again and again."""
