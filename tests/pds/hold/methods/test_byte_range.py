"""The Range header, by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.hold.methods.byte_range import RangeNotSatisfiable, parse_range


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_that_is_sent_lies_within_the_blob(size: int, first: int, last: int) -> None:
    try:
        found = parse_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if found is None:
        assert last < first
    else:
        assert found == (first, min(last, size - 1) + 1)


@given(st.text(max_size=30))
def test_any_text_gives_a_range_or_the_whole(text: str) -> None:
    found = parse_range(f"bytes={text}", 100)
    assert found is None or 0 <= found[0] < found[1] <= 100


@pytest.mark.parametrize("header", ["bytes=0-0", "bytes=-1", "bytes=0-"])
def test_an_empty_blob_has_no_range(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 0)
