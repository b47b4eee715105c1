"""Settings of a hold that cannot work are refused with what to do."""

from __future__ import annotations

import pytest

from tests.pds.config.test_settings import problems_with, settings_with

HOLD = {"PDS_HOLD_ENABLED": "true", "PDS_HOLD_OWNER": "did:plc:captainaaaaaaaaaaaaaaaaa"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"PDS_HOLD_PUBLIC_URL": "http://172.28.0.3:8080"},
        {"PDS_HOLD_PUBLIC_URL": "https://Hold.Example.com./"},
        {"PDS_HOLD_DISCOVERY_URLS": "https://discovery.example.com,relay.example.com"},
        {"PDS_HOLD_CDN_URL": "https://cdn.example.com/images"},
        {"PDS_HOLD_S3_PREFIX": "a/b-c/"},
        {"PDS_HOLD_OWNER": ""},
        {"PDS_HOLD_TIERS": "deckhand=5GB,bosun=50GB", "PDS_HOLD_NEW_CREW_TIER": "bosun"},
    ],
)
def test_a_hold_works_with(changes: dict[str, str]) -> None:
    assert settings_with(**{**HOLD, **changes}).hold.enabled


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PDS_HOLD_OWNER", "alice.example.com", "is not a DID"),
        ("PDS_HOLD_SUCCESSOR", "https://hold.example.com", "is not a DID"),
        ("PDS_HOLD_APPVIEW_DID", "atcr.io", "is not a DID"),
        ("PDS_HOLD_PUBLIC_URL", "https://example.com/hold", "without a path"),
        ("PDS_HOLD_PUBLIC_URL", "https://[::1]:8080", "no did:web"),
        ("PDS_HOLD_PUBLIC_URL", "ftp://example.com", "no did:web"),
        ("PDS_HOLD_PUBLIC_URL", "https://user:password@example.com", "no did:web"),
        ("PDS_HOLD_PUBLIC_URL", "https://example.com:99999", "no did:web"),
        ("PDS_HOLD_PUBLIC_URL", "https://", "no did:web"),
        ("PDS_HOLD_REGION", "r" * 65, "set a shorter one"),
        ("PDS_HOLD_PROFILE_AVATAR", "avatar.png", "set a URL"),
        ("PDS_HOLD_CDN_URL", "cdn.example.com", "set a URL"),
        ("PDS_HOLD_DISCOVERY_URLS", "ftp://discovery.example.com", "set the base URLs"),
        ("PDS_HOLD_S3_PREFIX", "/docker/", "ends with a slash and does not begin"),
        ("PDS_HOLD_S3_PREFIX", "docker", "ends with a slash"),
        ("PDS_HOLD_S3_PREFIX", "docker/../", "ends with a slash"),
        ("PDS_HOLD_STATS_INTERVAL", "0", "at least 100"),
        ("PDS_HOLD_TIERS", "deckhand=5", "a unit such as GB is missing"),
        ("PDS_HOLD_TIERS", "deckhand=5GB,deckhand=50GB", "two tiers have the same name"),
        ("PDS_HOLD_NEW_CREW_TIER", "bosun", "none of the tiers in PDS_HOLD_TIERS"),
    ],
)
def test_a_hold_is_refused_with(name: str, value: str, told: str) -> None:
    (problem,) = problems_with(**{**HOLD, name: value})
    assert problem.startswith(name)
    assert told in problem


def test_only_a_hold_can_be_only_a_hold() -> None:
    (problem,) = problems_with(PDS_HOLD_ONLY="true")
    assert "PDS_HOLD_ENABLED=true" in problem


def test_a_server_that_is_no_hold_needs_no_sound_settings_of_one() -> None:
    settings = settings_with(PDS_HOLD_OWNER="nobody", PDS_HOLD_PUBLIC_URL="nowhere/at/all")
    assert not settings.is_hold(settings.hold_did)
