"""The settings of an entryway: all or none, and each such that it can work."""

from __future__ import annotations

import coincurve
import pytest

from pds.config import Settings
from repo.keys import K256PrivateKey
from tests.pds.config.test_settings import problems_with, settings_with

KEY = K256PrivateKey.from_bytes(b"\x21" * 32)
URL, DID = "PDS_ENTRYWAY_URL", "PDS_ENTRYWAY_DID"
JWT_KEY = "PDS_ENTRYWAY_JWT_VERIFY_KEY_K256_PUBLIC_KEY_HEX"
ROTATION_KEY = "PDS_ENTRYWAY_PLC_ROTATION_KEY"
TOKEN = "PDS_ENTRYWAY_ADMIN_TOKEN"
UNCOMPRESSED = coincurve.PublicKey(KEY.public.point).format(compressed=False).hex()
BEHIND = {
    URL: "https://entryway.example.com",
    DID: "did:web:entryway.example.com",
    JWT_KEY: KEY.public.point.hex(),
    ROTATION_KEY: KEY.did_key,
}


def behind(**changes: str) -> Settings:
    return settings_with(**(BEHIND | changes))


def test_without_any_the_server_owns_its_logins() -> None:
    settings = settings_with()
    assert settings.entryway_service is None


def test_all_four_put_the_server_behind_the_entryway() -> None:
    service = behind(PDS_ENTRYWAY_URL="https://entryway.example.com/").entryway_service
    assert service is not None
    assert (service.url, service.did) == (BEHIND[URL], BEHIND[DID])


@pytest.mark.parametrize("missing", BEHIND)
def test_one_that_is_missing_is_named(missing: str) -> None:
    (problem,) = problems_with(**{**BEHIND, missing: ""})
    assert f"set but {missing} is missing: an entryway needs all four" in problem
    assert f"so set {missing}, or unset " in problem


def test_the_administrator_s_password_is_the_same_unless_given() -> None:
    assert behind().entryway_admin_password == "admin-pass"
    assert behind(**{TOKEN: "other"}).entryway_admin_password == "other"
    # It alone asks for nothing: the reference starts with it, too.
    assert settings_with(**{TOKEN: "other"}).entryway_service is None


@pytest.mark.parametrize("key", [KEY.public.point.hex(), UNCOMPRESSED, UNCOMPRESSED.upper()])
def test_the_key_of_the_tokens_may_be_compressed_or_not(key: str) -> None:
    assert behind(**{JWT_KEY: key}).entryway.jwt_verify_key_hex == key


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        (URL, "entryway.example.com", "set one such as https://entryway.example.com"),
        (URL, "ftp://entryway.example.com", "set one such as"),
        (URL, "https://", "set one such as"),
        (URL, "https://entryway.example.com:port", "set one such as"),
        (URL, "https://entryway.example.com?x=1", "set one such as"),
        (URL, "https://admin:pw@entryway.example.com", "set one such as"),
        (URL, "https://pds.example.com/", "set the entryway's, or unset"),
        (DID, "entryway.example.com", "set one such as did:web:entryway.example.com"),
        (DID, "did:web:pds.example.com", "set the entryway's"),
        (JWT_KEY, "02" + "00" * 32, "set the 66 hex digits"),
        (JWT_KEY, KEY.did_key, "set the 66 hex digits"),
        (JWT_KEY, "21" * 32, "set the 66 hex digits"),
        (ROTATION_KEY, KEY.public.point.hex(), "set the did:key of the entryway's rotation key"),
        (ROTATION_KEY, "did:key:zabc", "set the did:key"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_what_to_set(
    name: str, value: str, remedy: str
) -> None:
    (problem,) = problems_with(**{**BEHIND, name: value})
    assert problem.startswith(name)
    assert f": {remedy}" in problem
    assert "pw" not in problem
