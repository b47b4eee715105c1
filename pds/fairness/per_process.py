"""Bounds of a server for memory and computing, as each of its processes applies them.

Bounds for files are not divided: the system limits the files of each process by itself.
"""

from __future__ import annotations


def per_process(bound: int, processes: int) -> int:
    """Return the part of a bound that each of `processes` has, rounded up: at least one."""
    return -(-bound // processes)
