"""How far long work has come, for whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a step, the parts done, and all parts; 0 if their number is unknown."""


def no_progress(step: str, done: int, total: int) -> None:
    """Nobody waits."""
