"""When records were made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pds.web.browse.times import time_of_record, time_of_tid
from repo.tid import MAX_MICROS, encode_tid

AT = datetime(2024, 2, 29, 22, 30, 5, tzinfo=UTC)
KEY = encode_tid(int(AT.timestamp() * 1_000_000), 0)


@pytest.mark.parametrize(
    "text", ["2024-02-29T22:30:05Z", "2024-03-01T00:30:05.000+02:00", "2024-02-29T22:30:05"]
)
def test_a_record_says_when_it_was_made(text: str) -> None:
    assert time_of_record({"createdAt": text}, "3jzfcijpj2z2a") == AT


@pytest.mark.parametrize(
    "record",
    [
        {},
        [],
        {"createdAt": None},
        {"createdAt": "yesterday"},
        {"createdAt": "2024-02-30T00:00:00Z"},
        {"createdAt": "0001-01-01T00:00:00+14:00"},
        {"createdAt": "9" * 5_000},
    ],
)
def test_of_one_that_does_not_its_key_does(record: Any) -> None:
    assert time_of_record(record, KEY) == AT
    assert time_of_record(record, "self") is None


def test_the_last_tid_has_a_time() -> None:
    last = time_of_tid(encode_tid(MAX_MICROS, 1023))
    assert last is not None
    assert last.year == 2540
