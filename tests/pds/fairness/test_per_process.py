"""Bounds that the processes of a server share."""

from __future__ import annotations

import pytest

from pds.fairness.per_process import per_process


@pytest.mark.parametrize(
    ("bound", "processes", "each"), [(128, 1, 128), (128, 4, 32), (3, 2, 2), (3, 8, 1)]
)
def test_processes_share_a_bound_and_each_has_a_part(bound: int, processes: int, each: int) -> None:
    assert per_process(bound, processes) == each
