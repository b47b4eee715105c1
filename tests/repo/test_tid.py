"""TIDs: text order is time order, and a clock that only rises."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo.tid import (
    MAX_CLOCK_ID,
    MAX_MICROS,
    InvalidTid,
    TidClock,
    decode_tid,
    encode_tid,
    is_tid,
)
from tests.repo.interop import vector_lines

NOW_US = 1_700_000_000_000_000
micros = st.integers(0, MAX_MICROS)
clock_ids = st.integers(0, MAX_CLOCK_ID)


def clock_at(*times_us: int, clock_id: int = 3) -> TidClock:
    """A clock that reads these times, one a call, and stays at the last."""
    left = list(times_us)
    return TidClock(lambda: left.pop(0) if len(left) > 1 else left[0], clock_id)


@given(micros, clock_ids)
def test_decode_is_the_inverse_of_encode(time_us: int, clock_id: int) -> None:
    tid = encode_tid(time_us, clock_id)
    assert is_tid(tid)
    assert decode_tid(tid) == (time_us, clock_id)


@given(st.tuples(micros, clock_ids), st.tuples(micros, clock_ids))
def test_text_order_is_time_order(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (encode_tid(*one) < encode_tid(*other)) == (one < other)


def test_known_tids() -> None:
    assert encode_tid(0, 0) == "2222222222222"
    assert encode_tid(MAX_MICROS, MAX_CLOCK_ID) == "jzzzzzzzzzzzz"
    assert decode_tid("3jzfcijpj2z2a") == (1_688_137_381_887_007, 6)


@pytest.mark.parametrize(
    ("time_us", "clock_id"), [(-1, 0), (MAX_MICROS + 1, 0), (0, -1), (0, MAX_CLOCK_ID + 1)]
)
def test_numbers_that_do_not_fit_are_refused(time_us: int, clock_id: int) -> None:
    with pytest.raises(InvalidTid):
        encode_tid(time_us, clock_id)


@pytest.mark.parametrize("kind", ["valid", "invalid"])
def test_vectors(kind: str) -> None:
    lines = vector_lines(f"syntax/tid_syntax_{kind}.txt")
    assert lines
    assert [line for line in lines if is_tid(line) is not (kind == "valid")] == []


@given(st.text(max_size=20) | st.text("234567abcxyz", min_size=13, max_size=13))
def test_any_text_is_a_tid_or_invalid(text: str) -> None:
    try:
        decoded = decode_tid(text)
    except InvalidTid:
        assert not is_tid(text)
        return
    assert encode_tid(*decoded) == text


@pytest.mark.parametrize(
    "times_us", [[NOW_US], [NOW_US, NOW_US - 10**9, NOW_US - 1], [NOW_US, NOW_US, NOW_US + 1]]
)
def test_clock_rises_whatever_the_wall_clock_does(times_us: list[int]) -> None:
    clock = clock_at(*times_us)
    tids = [clock.next() for _ in range(50)]
    assert tids == sorted(set(tids))


def test_clock_follows_the_wall_clock() -> None:
    clock = clock_at(NOW_US, NOW_US + 5_000)
    assert decode_tid(clock.next()) == (NOW_US, 3)
    assert decode_tid(clock.next()) == (NOW_US + 5_000, 3)


def test_threads_that_share_a_clock_never_get_the_same_tid() -> None:
    clock = clock_at(NOW_US)
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: [clock.next() for _ in range(500)], range(4)))
    assert len({tid for batch in batches for tid in batch}) == 2000


def test_first_rev_of_a_repo_is_now() -> None:
    assert decode_tid(clock_at(NOW_US).next_rev(None)) == (NOW_US, 3)


@given(st.integers(-3, 3), clock_ids)
def test_next_rev_is_greater_than_the_rev_before(step_us: int, clock_id: int) -> None:
    prev = encode_tid(NOW_US + step_us, clock_id)
    assert clock_at(NOW_US).next_rev(prev) > prev


def test_next_rev_after_a_rev_in_the_future_is_a_microsecond_later() -> None:
    clock = clock_at(NOW_US)
    prev = encode_tid(NOW_US + 10**12, 31)
    assert decode_tid(clock.next_rev(prev)) == (NOW_US + 10**12 + 1, 3)
    assert decode_tid(clock.next())[0] < NOW_US + 10


@pytest.mark.parametrize("prev", ["", "not a tid", "jzzzzzzzzzzzz"])
def test_next_rev_refuses_a_rev_that_has_none(prev: str) -> None:
    with pytest.raises(InvalidTid):
        clock_at(NOW_US).next_rev(prev)


@pytest.mark.parametrize(
    "make", [lambda: clock_at(0, clock_id=1024), lambda: clock_at(MAX_MICROS + 1).next()]
)
def test_clock_refuses_what_does_not_fit_a_tid(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidTid):
        make()
