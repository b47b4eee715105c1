from __future__ import annotations

from pds.logs.sparse import SparseLines


def test_so_many_lines_are_admitted_in_a_stretch_and_the_others_counted() -> None:
    now_s = 0.0
    lines = SparseLines(2, 60.0, now_s=lambda: now_s)
    assert [lines.admit() for _ in range(5)] == [0, 0, None, None, None]
    now_s = 59.9
    assert lines.admit() is None
    now_s = 60.0
    assert [lines.admit() for _ in range(3)] == [4, 0, None]
    now_s = 1_000.0
    assert [lines.admit() for _ in range(2)] == [1, 0]
