"""Sizes: read as people write them, and written for people."""

from __future__ import annotations

import pytest

from pds.reporting import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("10B", 10),
        ("5kB", 5_000),
        ("500MB", 500_000_000),
        ("500mb", 500_000_000),
        ("2GB", 2_000_000_000),
        ("1.5 GB", 1_500_000_000),
        (" 3TB ", 3_000_000_000_000),
        ("1KiB", 1024),
        ("2.5GiB", 2_684_354_560),
        ("1M", 1_048_576),
        ("1G", 1_073_741_824),
        ("9PB", 9_000_000_000_000_000),
    ],
)
def test_sizes_are_numbers_with_or_without_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "MB", "-1", "+5", "1e9", "5 XB", "5MBit", "1,5GB", "1.GB", "5 M B", "٣MB", "9999999PB"],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_550_000, "1.6 MB"),
        (99_900_000, "99.9 MB"),
        (120_000_000_000, "120 GB"),
        (7 * 10**21, "7000000 PB"),
    ],
)
def test_sizes_are_written_in_a_few_digits(size: int, text: str) -> None:
    assert format_size(size) == text
