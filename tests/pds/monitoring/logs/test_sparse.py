from __future__ import annotations

from pds.monitoring.logs.sparse import SparseLines


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


def test_one_client_leaves_lines_to_others() -> None:
    now_s = 0.0
    lines = SparseLines(4, 60.0, each=2, now_s=lambda: now_s)
    assert [lines.admit("a") for _ in range(4)] == [0, 0, None, None]
    assert [lines.admit("b"), lines.admit("c")] == [2, 0]
    # Nor do many of them get more than there are.
    assert [lines.admit(name) for name in "def"] == [None, None, None]
    now_s = 60.0
    assert lines.admit("a") == 3
