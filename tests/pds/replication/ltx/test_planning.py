"""Which files are chosen, by what their names and times say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.replication.ltx.names import LtxFile, LtxName, parse_ltx
from pds.replication.ltx.planning import Plan, plan_continuation, plan_restore, unclear_times
from pds.replication.replica.place import StoredFile
from tests.pds.replication.ltx.made import listed, up_to


def chosen(plan: Plan | None) -> list[tuple[int, int, int]]:
    assert plan is not None
    return [(file.name.level, file.name.first, file.name.last) for file in plan.files]


def test_names_are_parsed_and_others_are_not() -> None:
    def parse(name: str) -> LtxFile | None:
        return parse_ltx(StoredFile(name, 7, 1.5))

    txids = "0000000000000001-000000000000001f"
    file = parse(f"actors/ab/did:plc:x/store.sqlite/ltx/9/{txids}.ltx")
    assert file is not None
    assert (file.database, file.name) == ("actors/ab/did:plc:x/store.sqlite", LtxName(9, 1, 31))
    assert (file.size, file.modified_ms, file.time_ms) == (7, 1500, 1500)
    assert file.name.path(file.database) == file.path
    for name in (
        f"a/ltx/10/{txids}.ltx",
        f"a/ltx/1/{txids}.ltx.tmp",
        f"ltx/1/{txids}.ltx",
        f"a/{txids}.ltx",
        "a/ltx/0/0000000000000002-0000000000000001.ltx",
        "a/ltx/0/0000000000000000-0000000000000001.ltx",
        "a/ltx/0/000000000000000A-000000000000000B.ltx",
        "a/manifest.json",
    ):
        assert parse(name) is None


def test_the_newest_snapshot_and_the_longest_files_after_it_are_chosen() -> None:
    files = [
        *(listed(0, n, n) for n in range(1, 21)),
        listed(1, 1, 8),
        listed(1, 9, 16),
        listed(2, 2, 16),
        listed(9, 1, 3),
        listed(9, 1, 10),
    ]
    plan = plan_restore(files)
    assert chosen(plan) == [(9, 1, 10), (2, 2, 16), *((0, n, n) for n in range(17, 21))]
    assert plan is not None
    assert (plan.last, plan.missing, plan.starts_anew) == (20, None, True)
    assert chosen(plan_restore(up_to(files, 12))) == [(9, 1, 10), (0, 11, 11), (0, 12, 12)]
    assert chosen(plan_restore(up_to(files, 9))) == [(1, 1, 8), (0, 9, 9)]
    assert chosen(plan_restore([*files, listed(2, 1, 19)])) == [(2, 1, 19), (0, 20, 20)]


def test_the_state_before_a_time_has_nothing_of_that_time() -> None:
    files = [listed(0, n, n, time_ms=n * 100) for n in range(1, 6)]
    files.append(listed(1, 1, 4, time_ms=400))
    assert chosen(plan_restore(files, before_ms=400)) == [(0, 1, 1), (0, 2, 2), (0, 3, 3)]
    assert chosen(plan_restore(files, before_ms=401)) == [(1, 1, 4)]
    assert plan_restore(files, before_ms=100) is None
    later = [replace(file, modified_ms=10_000) for file in files]
    unclear = unclear_times(later, 400)
    assert unclear == later
    known = [replace(file, timestamp_ms=file.name.last * 100) for file in unclear]
    assert chosen(plan_restore(known, before_ms=401)) == [(1, 1, 4)]
    assert unclear_times(known, 401) == []


def test_files_whose_time_does_not_matter_are_not_unclear() -> None:
    files = [listed(9, 1, 50, time_ms=100), listed(0, 50, 50, time_ms=9)]
    files.append(listed(0, 51, 51, time_ms=9))
    late = [listed(0, 49, 49, time_ms=900), listed(1, 50, 51, time_ms=900)]
    assert unclear_times([*files, *late], 500) == [late[1]]


def test_times_in_whole_seconds_are_unclear_within_their_second() -> None:
    """A listing of S3 or SFTP says 2.0 s for a transaction of 2.7 s."""
    files = [listed(9, 1, 1, time_ms=1_000), *(listed(0, n, n, time_ms=2_000) for n in (2, 3))]
    assert unclear_times(files, 2_500) == files[1:]
    known = [replace(file, timestamp_ms=2_100 + file.name.last * 200) for file in files[1:]]
    assert chosen(plan_restore([files[0], *known], before_ms=2_600)) == [(9, 1, 1), (0, 2, 2)]
    assert unclear_times(files, 2_000) == files[1:]
    assert unclear_times(files, 3_000) == []
    snapshot = listed(9, 1, 3, time_ms=2_000)
    assert unclear_times([*files, snapshot], 2_500) == [*files[1:], snapshot]


def test_without_a_damaged_file_the_newest_state_of_the_others_is_given() -> None:
    files = [listed(9, 1, 10), listed(9, 1, 3), listed(1, 4, 12), listed(0, 13, 13)]
    assert chosen(plan_restore(files)) == [(9, 1, 10), (1, 4, 12), (0, 13, 13)]
    without = plan_restore(files, damaged={files[0].path})
    assert chosen(without) == [(9, 1, 3), (1, 4, 12), (0, 13, 13)]
    assert without is not None
    assert without.missing is None
    without = plan_restore(files, damaged={files[2].path})
    assert chosen(without) == [(9, 1, 10)]
    assert without is not None
    assert (without.last, without.missing) == (10, (11, 13))
    anew = plan_restore(files, damaged={files[2].path}, complete={files[3].path})
    assert chosen(anew) == [(0, 13, 13)]
    assert plan_restore(files, damaged={file.path for file in files}) is None
    assert plan_restore([]) is None


def test_a_database_goes_on_with_increments_or_begins_anew() -> None:
    files = [listed(9, 1, 10), listed(1, 8, 12), listed(0, 13, 13)]
    goes_on = plan_continuation(files, 9)
    assert chosen(goes_on) == [(1, 8, 12), (0, 13, 13)]
    assert goes_on is not None
    assert not goes_on.starts_anew
    anew = plan_continuation(files, 5)
    assert chosen(anew) == [(9, 1, 10), (1, 8, 12), (0, 13, 13)]
    assert anew is not None
    assert anew.starts_anew
    nothing = plan_continuation(files, 13)
    assert nothing is not None
    assert (nothing.files, nothing.last, nothing.missing) == ((), 13, None)
    assert plan_continuation(files, 14) is None
    assert plan_continuation([], 3) is None


names = st.builds(
    lambda level, first, length: listed(level, 1 if level == 9 else first, first + length),
    st.integers(0, 9),
    st.integers(1, 12),
    st.integers(0, 5),
)


@given(st.lists(names, max_size=12, unique_by=lambda file: file.path), st.integers(1, 18))
def test_no_choice_of_files_reaches_further(files: list[LtxFile], limit: int) -> None:
    reached = {file.name.last for file in files if file.name.first == 1 and file.name.last <= limit}
    while True:
        more = {
            file.name.last
            for file in files
            if file.name.level != 9
            and file.name.last <= limit
            and any(file.name.first <= last + 1 and file.name.last > last for last in reached)
        }
        if more <= reached:
            break
        reached |= more
    plan = plan_restore(up_to(files, limit))
    if plan is None:
        assert not reached
        return
    assert plan.last == max(reached)
    before = 0
    for file in plan.files:
        assert file.name.first <= before + 1 <= file.name.last
        before = file.name.last


@pytest.mark.parametrize("count", [20_000])
def test_thousands_of_files_are_planned_in_no_time(count: int) -> None:
    plan = plan_restore([listed(0, n, n) for n in range(count, 0, -1)])
    assert plan is not None
    assert plan.last == len(plan.files) == count
