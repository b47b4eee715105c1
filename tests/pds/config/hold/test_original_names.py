"""The variables of the original hold: what they stand for here, and that ours win."""

from __future__ import annotations

import pytest

from pds.config import ConfigError, Settings, read_settings
from pds.config.hold.original_names import translate_hold_names

SECRETS = {
    "PDS_JWT_SECRET": "jwt-secret",
    "PDS_ADMIN_PASSWORD": "admin-pass",
    "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
}
OWNER = "did:plc:captainaaaaaaaaaaaaaaaaa"
ORIGINAL = {
    "HOLD_PUBLIC_URL": "https://hold.example.com",
    "HOLD_OWNER": OWNER,
    "S3_BUCKET": "images",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


def settings_of(**changes: str) -> Settings:
    return read_settings({**SECRETS, **ORIGINAL, **changes})


def problems_of(**changes: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings_of(**changes)
    return caught.value.problems


def test_a_hold_on_s3_needs_none_of_our_names() -> None:
    settings = settings_of(
        HOLD_PUBLIC="TRUE",
        HOLD_ALLOW_ALL_CREW="1",
        HOLD_BLUESKY_POSTS_ENABLED="true",
        HOLD_DATABASE_DIR="/var/lib/hold",
        HOLD_PROFILE_AVATAR="https://example.com/avatar.png",
        HOLD_REGION="eu",
        S3_ENDPOINT="https://s3.example.com",
        AWS_REGION="eu-west-1",
        ATCR_DISCOVERY_URL="https://discovery.example.com",
        DISABLE_PRESIGNED_URLS="true",
    )
    hold, blobs = settings.hold, settings.blobstore
    assert (hold.enabled, hold.owner, hold.public, hold.allow_all_crew) == (True, OWNER, True, True)
    assert (hold.bluesky_posts, hold.region, hold.presigned_urls) == (True, "eu", False)
    assert hold.profile_avatar_url == "https://example.com/avatar.png"
    assert settings.hold_crawlers == ("https://discovery.example.com",)
    assert settings.hold_did == "did:web:hold.example.com"
    assert (settings.hostname, str(settings.data_directory)) == (
        "hold.example.com",
        "/var/lib/hold",
    )
    assert (blobs.s3_bucket, blobs.s3_region) == ("images", "eu-west-1")
    assert (blobs.s3_access_key_id, blobs.s3_secret_access_key) == ("id", "secret")
    assert (blobs.s3_endpoint, blobs.s3_force_path_style) == ("https://s3.example.com", True)


def test_defaults_are_those_of_the_original() -> None:
    settings = settings_of()
    assert (settings.service.port, settings.bind_address) == (8080, "")
    assert settings.blobstore.s3_region == "us-east-1"
    assert settings.blobstore.s3_force_path_style is None
    assert (settings.hold.public, settings.hold.presigned_urls) == (False, True)


def test_blobs_may_lie_on_disk() -> None:
    settings = settings_of(STORAGE_DRIVER="filesystem", STORAGE_ROOT_DIR="/var/lib/images")
    assert str(settings.blob_directory) == "/var/lib/images"
    assert settings.blobstore.s3_bucket is None
    assert settings.blobstore.s3_access_key_id is None


@pytest.mark.parametrize(
    ("address", "bound", "port"),
    [(":9000", "", 9000), ("127.0.0.1:9000", "127.0.0.1", 9000), ("[::1]:9000", "::1", 9000)],
)
def test_the_address_gives_host_and_port(address: str, bound: str, port: int) -> None:
    settings = settings_of(HOLD_SERVER_ADDR=address)
    assert (settings.bind_address, settings.service.port) == (bound, port)


def test_names_of_this_server_win() -> None:
    settings = settings_of(
        PDS_HOLD_PUBLIC_URL="https://other.example.com",
        PDS_HOSTNAME="pds.example.com",
        PDS_PORT="2583",
        PDS_HOLD_PUBLIC="false",
        HOLD_PUBLIC="true",
        PDS_BLOBSTORE_DISK_LOCATION="/pds/blobs",
        AWS_REGION="eu-west-1",
    )
    assert settings.hold_did == "did:web:other.example.com"
    assert (settings.hostname, settings.service.port) == ("pds.example.com", 2583)
    assert settings.hold.public is False
    assert (settings.blobstore.s3_bucket, settings.blobstore.s3_region) == (None, None)
    assert settings_of(PDS_HOLD_ENABLED="false").hold.enabled is False


def test_an_ordinary_server_is_not_changed_by_variables_of_other_programs() -> None:
    others = {
        "S3_BUCKET": "images",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "id",
        "STORAGE_DRIVER": "gcs",
        "ATCR_DISCOVERY_URL": "https://discovery.example.com",
        "HOLD_OWNER": "",
        "HOLD_ELSE": "true",
    }
    found = translate_hold_names(others)
    assert (found.values, found.taken, found.problems) == ({}, {}, [])


def test_what_was_taken_over_is_told_without_values() -> None:
    taken = translate_hold_names({**ORIGINAL, "PDS_HOLD_OWNER": OWNER}).taken
    assert taken == {
        "HOLD_PUBLIC_URL": "PDS_HOLD_PUBLIC_URL",
        "S3_BUCKET": "PDS_BLOBSTORE_S3_BUCKET",
        "AWS_ACCESS_KEY_ID": "PDS_BLOBSTORE_S3_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY": "PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY",
    }


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"HOLD_PUBLIC": "maybe"}, 'HOLD_PUBLIC is "maybe": set true or false'),
        ({"HOLD_SERVER_ADDR": "8080"}, 'HOLD_SERVER_ADDR is "8080": set an address'),
        ({"HOLD_SERVER_ADDR": ":http"}, 'HOLD_SERVER_ADDR is ":http": set an address'),
        ({"STORAGE_DRIVER": "gcs"}, 'STORAGE_DRIVER is "gcs": set s3 or filesystem'),
        ({"HOLD_PUBLIC_URL": "https://[::1"}, "PDS_HOLD_PUBLIC_URL gives the hold the URL"),
    ],
)
def test_what_makes_no_sense_is_a_problem_by_its_own_name(
    changes: dict[str, str], start: str
) -> None:
    assert any(problem.startswith(start) for problem in problems_of(**changes))
