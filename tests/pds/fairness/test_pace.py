from __future__ import annotations

from pds.fairness.pace import Pace


def test_a_stretch_may_take_its_time_in_any_steps() -> None:
    pace = Pace(100, 10.0)
    assert pace.left_s == 10.0
    pace.note(30, 4.0)
    pace.note(69, 4.0)
    assert pace.left_s == 2.0


def test_the_next_stretch_has_the_whole_time_again() -> None:
    pace = Pace(100, 10.0)
    pace.note(99, 9.0)
    pace.note(1, 0.5)
    assert pace.left_s == 10.0


def test_more_than_a_stretch_at_once_saves_no_time_for_later() -> None:
    pace = Pace(100, 10.0)
    pace.note(1_000_000, 0.0)
    pace.note(99, 9.0)
    assert pace.left_s == 1.0
