"""The largest crowd gives way, and only to one that stays smaller."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pds.fairness.crowds import Crowds

NAMES = st.sampled_from("abcd")


def test_the_youngest_of_the_largest_crowd_gives_way() -> None:
    crowds = Crowds([("few", 1), ("many", 2), ("many", 3), ("many", 4), ("few", 5)])
    assert crowds.give_way_to("new") == ("many", 4)
    assert crowds.give_way_to("few") is None
    crowds.leave(1)
    assert crowds.give_way_to("new") == ("many", 3)
    assert crowds.give_way_to("new") is None


def test_nobody_gives_way_where_there_is_nobody() -> None:
    crowds = Crowds[int](())
    crowds.leave(1)
    assert crowds.give_way_to("new") is None


def test_who_comes_and_goes_may_come_as_often_as_there_are_members_to_give_way() -> None:
    crowds = Crowds(("many", number) for number in range(10))
    for number in range(9):
        assert crowds.give_way_to("new") == ("many", 9 - number)
        crowds.join("new", -1)
        crowds.leave(-1)


@given(
    st.lists(NAMES, max_size=20),
    st.lists(st.tuples(st.sampled_from(["join", "leave", "give way"]), NAMES), max_size=60),
)
def test_no_crowd_grows_beyond_the_one_that_gives_way(
    members: list[str], steps: list[tuple[str, str]]
) -> None:
    present = dict(enumerate(members))
    crowds = Crowds((name, member) for member, name in present.items())
    for number, (step, name) in enumerate(steps, len(members)):
        sizes = Counter(present.values())
        if step == "join":
            crowds.join(name, number)
            present[number] = name
        elif step == "leave":
            gone = next((member for member, theirs in present.items() if theirs == name), -1)
            present.pop(gone, None)
            crowds.leave(gone)
        else:
            chosen = crowds.give_way_to(name)
            most = max(sizes.values(), default=0)
            assert (chosen is not None) == (sizes[name] + 1 < most)
            if chosen is not None:
                crowd, member = chosen
                assert crowd == present.pop(member)
                assert sizes[crowd] == most
