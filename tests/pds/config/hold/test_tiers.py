"""Tiers: named quotas from the settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.config import ConfigError
from pds.config.hold.tiers import Tiers
from pds.reporting import format_size


def sizes(*entries: str) -> dict[str, int]:
    return {tier.name: tier.quota_bytes for tier in Tiers.parse(entries)}


def test_tiers_keep_their_order_and_their_sizes() -> None:
    tiers = Tiers.parse(["deckhand=5GB", " bosun = 1.5 tb ", "quartermaster=1Pb", "x=7B", "y=1GiB"])
    assert [(tier.name, tier.quota_bytes) for tier in tiers] == [
        ("deckhand", 5_000_000_000),
        ("bosun", 1_500_000_000_000),
        ("quartermaster", 10**15),
        ("x", 7),
        ("y", 2**30),
    ]
    assert [tiers.at(rank) for rank in range(5)] == list(tiers)
    assert [tiers.at(rank) for rank in (-1, 5, 10**30)] == [None, None, None]


@pytest.mark.parametrize("unit", ["B", "KB", "MB", "GB", "TB", "PB"])
def test_units_are_powers_of_a_thousand_in_any_case(unit: str) -> None:
    power = ["B", "KB", "MB", "GB", "TB", "PB"].index(unit)
    for written in (unit, unit.lower(), unit.capitalize()):
        assert sizes(f"a=2{written}") == {"a": 2 * 1000**power}


def test_the_first_tier_is_the_default_unless_the_settings_name_another() -> None:
    entries = ["low=1GB", "high=2GB"]
    assert Tiers.parse(entries).default == Tiers.parse(entries).at(0)
    named = Tiers.parse(entries, default="high")
    assert named.default == named.at(1)
    assert Tiers.parse(entries, default="").default == named.at(0)


def test_an_unknown_tier_falls_back_to_the_default() -> None:
    tiers = Tiers.parse(["low=1GB", "high=2GB"], default="high")
    assert tiers.of("low") == tiers.at(0)
    for name in (None, "", "gone", "LOW"):
        assert tiers.of(name) == tiers.at(1)


def test_without_tiers_there_is_no_quota() -> None:
    tiers = Tiers.parse([])
    assert (tiers.default, tiers.of("low"), tiers.at(0), len(tiers)) == (None, None, None, 0)


@pytest.mark.parametrize(
    "entry",
    [
        "deckhand",
        "=5GB",
        "a=",
        "a=5",
        "a=5 parsecs",
        "a=-5GB",
        "a=0GB",
        "a=0.1B",
        "a=10PB",
        "a=1e9GB",
        "a b=5GB",
        "a=5GB=6GB",
        "a" * 33 + "=5GB",
        "",
    ],
)
def test_what_is_no_tier_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(ConfigError, match="PDS_HOLD_TIERS"):
        Tiers.parse([entry])


def test_names_have_up_to_32_characters_and_are_unique() -> None:
    assert sizes("a" * 32 + "=1B") == {"a" * 32: 1}
    with pytest.raises(ConfigError, match="same name"):
        Tiers.parse(["a=1GB", "a=2GB"])


def test_the_default_must_be_one_of_the_tiers() -> None:
    for entries in ([], ["low=1GB"]):
        with pytest.raises(ConfigError, match="PDS_HOLD_NEW_CREW_TIER"):
            Tiers.parse(entries, default="high")


@given(st.integers(1, 999), st.sampled_from(["MB", "GB", "TB"]))
def test_what_people_write_is_what_they_read(number: int, unit: str) -> None:
    (quota_bytes,) = sizes(f"a={number}{unit}").values()
    shown, shown_unit = format_size(quota_bytes).split()
    assert (float(shown), shown_unit) == (number, unit)
