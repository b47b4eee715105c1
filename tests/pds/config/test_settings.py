"""Settings: the reference's parsing rules, what is derived, and the refusal to start."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pds.config import (
    ConfigError,
    Settings,
    find_old_names,
    find_unknown,
    read_settings,
)
from tests.documented_settings import documented_settings

WORKING = {
    "PDS_HOSTNAME": "pds.example.com",
    "PDS_JWT_SECRET": "jwt-secret",
    "PDS_ADMIN_PASSWORD": "admin-pass",
    "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
    "PDS_BLOBSTORE_DISK_LOCATION": "/pds/blocks",
}


def settings_with(**changes: str) -> Settings:
    return read_settings(WORKING | changes)


def problems_with(**changes: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings_with(**changes)
    return caught.value.problems


def test_defaults_are_those_of_the_reference() -> None:
    settings = settings_with()
    assert settings.service.port == 2583
    assert settings.public_url == "https://pds.example.com"
    assert settings.service_did == "did:web:pds.example.com"
    assert settings.service_name == "pds.example.com PDS"
    assert settings.service_handle_domains == (".pds.example.com",)
    assert settings.service.blob_upload_limit_bytes == 5_242_880
    assert settings.max_repo_import_bytes == 5_242_880
    assert settings.invites.required is True
    assert settings.ssrf_protection is True
    assert settings.is_durable is True
    assert settings.wal_autocheckpoint == 1000
    assert settings.account_db_path == Path("account.sqlite")
    assert settings.blob_tmp_directory == Path("/pds/blocks/tempt")
    assert settings.appview is None
    assert settings.bind_address == ""


def test_localhost_in_development_serves_plain_http_and_test_handles() -> None:
    settings = settings_with(PDS_HOSTNAME="localhost", PDS_DEV_MODE="1", PDS_PORT="3000")
    assert settings.public_url == "http://localhost:3000"
    assert settings.service_did == "did:web:localhost"
    assert settings.service_handle_domains == (".test",)
    assert settings.ssrf_protection is False


def test_locations_follow_the_data_directory_unless_given() -> None:
    settings = settings_with(
        PDS_DATA_DIRECTORY="/pds",
        PDS_SEQUENCER_DB_LOCATION="/fast/seq.sqlite",
        PDS_BLOBSTORE_DISK_TMP_LOCATION="/tmp/blobs",  # noqa: S108
    )
    assert settings.account_db_path == Path("/pds/account.sqlite")
    assert settings.sequencer_db_path == Path("/fast/seq.sqlite")
    assert settings.did_cache_db_path == Path("/pds/did_cache.sqlite")
    assert settings.actors_directory == Path("/pds/actors")
    assert settings.blob_tmp_directory == Path("/tmp/blobs")  # noqa: S108


def test_blobs_in_s3_have_no_directory() -> None:
    settings = settings_with(PDS_BLOBSTORE_DISK_LOCATION="", PDS_BLOBSTORE_S3_BUCKET="blobs")
    assert settings.blob_directory is None
    assert settings.blob_tmp_directory is None
    assert settings.blob_homes == ("s3",)


@pytest.mark.parametrize(("to", "homes"), [("s3", ("s3", "disk")), ("disk", ("disk", "s3"))])
def test_blobs_that_move_have_two_homes_the_new_one_first(to: str, homes: tuple[str, str]) -> None:
    settings = settings_with(PDS_BLOBSTORE_S3_BUCKET="blobs", PDS_BLOBSTORE_MOVE_TO=to)
    assert settings.blob_homes == homes
    assert settings_with().blob_homes == ("disk",)


@pytest.mark.parametrize(("raw", "port"), [("3000", 3000), (" 3000 ", 3000), ("", 2583)])
def test_an_integer_may_have_blanks_around_it(raw: str, port: int) -> None:
    assert settings_with(PDS_PORT=raw).service.port == port


@pytest.mark.parametrize(
    ("name", "raw"),
    [("PDS_PORT", raw) for raw in ("many", "3000x", "1.5", "1e3", "tcp://10.0.0.1:3000")]
    + [("PDS_BLOB_UPLOAD_LIMIT", "100MB"), ("PDS_INVITE_INTERVAL", "7 days")],
)
def test_an_integer_that_cannot_be_read_is_refused(name: str, raw: str) -> None:
    (problem,) = problems_with(**{name: raw})
    assert problem.startswith(f'{name} is "{raw}": set a whole number')


@pytest.mark.parametrize(
    ("raw", "required"),
    [("true", True), ("1", True), ("false", False), ("0", False), ("", True)],
)
def test_invites_are_required_unless_turned_off(raw: str, required: bool) -> None:
    assert settings_with(PDS_INVITE_REQUIRED=raw).invites.required is required


@pytest.mark.parametrize("raw", ["no", "False", "FALSE", "off", " false", '"false"', "yes"])
def test_a_boolean_that_cannot_be_read_is_refused(raw: str) -> None:
    (problem,) = problems_with(PDS_INVITE_REQUIRED=raw)
    assert problem.startswith(f'PDS_INVITE_REQUIRED is "{raw}": set true or false')


def test_host_names_count_without_case_and_without_the_dot_of_the_root() -> None:
    settings = settings_with(
        PDS_HOSTNAME="PDS.Example.Com.", PDS_SERVICE_HANDLE_DOMAINS=".Example.com,.TEST."
    )
    assert settings.public_url == "https://pds.example.com"
    assert settings.service_did == "did:web:pds.example.com"
    assert settings.service_handle_domains == (".example.com", ".test")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PDS_HOST_NAME", "did you mean PDS_HOSTNAME?"),
        ("PDS_BLOBSTORE_DISK_LOCATON", "did you mean PDS_BLOBSTORE_DISK_LOCATION?"),
        ("PDS_INVITES_REQUIRED", "did you mean PDS_INVITE_REQUIRED?"),
        ("PDS_ADMIN_PASSWD", "did you mean PDS_ADMIN_PASSWORD?"),
        ("PDS_FROBNICATE", "unset it"),
    ],
)
def test_a_variable_that_is_no_setting_is_told_with_the_one_that_is_meant(
    name: str, meant: str
) -> None:
    (text,) = find_unknown(WORKING | {name: "x", "PATH": "/bin", "LOG_LEVEL": "info"})
    assert text.startswith(f"{name} is not a setting: {meant}")


def test_no_setting_is_taken_for_an_unknown_one() -> None:
    every = {setting.name: "x" for setting in documented_settings()}
    assert find_unknown(every | {"PDS_ENV_FILE": "/pds/pds.env"}) == []


def test_lists_are_separated_by_commas_and_not_trimmed() -> None:
    settings = settings_with(PDS_CRAWLERS="https://a.example,, https://b.example")
    assert settings.services.crawlers == ("https://a.example", " https://b.example")


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("https://relay.example", "https://relay.example"),
        (" https://relay.example/ ", "https://relay.example"),
        ("relay.example", "https://relay.example"),
        ("localhost:2470", "https://localhost:2470"),
        ("http://[::1]:2470", "http://[::1]:2470"),
    ],
)
def test_relays_are_urls_or_hosts(raw: str, url: str) -> None:
    assert settings_with(PDS_CRAWLERS=raw).crawlers == (url,)


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("", None),
        ("redis", ("redis", 6379)),
        ("redis.internal:6380", ("redis.internal", 6380)),
        ("10.0.0.1", ("10.0.0.1", 6379)),
        ("[::1]", ("::1", 6379)),
        ("[fd00::7]:6380", ("fd00::7", 6380)),
    ],
)
def test_the_address_of_redis_may_have_a_port(raw: str, address: tuple[str, int] | None) -> None:
    assert settings_with(PDS_REDIS_SCRATCH_ADDRESS=raw).redis_address == address


def test_relays_are_told_the_public_host() -> None:
    assert settings_with(PDS_PORT="3000").public_host == "pds.example.com"
    local = settings_with(PDS_HOSTNAME="localhost", PDS_DEV_MODE="1", PDS_PORT="3000")
    assert local.public_host == "localhost:3000"


def test_reports_go_to_the_moderation_service_unless_told_otherwise() -> None:
    mod = {"PDS_MOD_SERVICE_URL": "https://mod.example/", "PDS_MOD_SERVICE_DID": "did:web:mod"}
    settings = settings_with(**mod)
    assert settings.report_service == settings.mod_service
    assert settings.report_service is not None
    assert settings.report_service.url == "https://mod.example"
    report = {"PDS_REPORT_SERVICE_URL": "https://r.example", "PDS_REPORT_SERVICE_DID": "did:web:r"}
    other = settings_with(**mod, **report).report_service
    assert other is not None
    assert other.did == "did:web:r"


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({"PDS_EMAIL_SMTP_URL": "smtp://mail", "PDS_SERVICE_DID": "pds"})
    named = {problem.split()[0] for problem in caught.value.problems}
    assert named == {
        "PDS_SERVICE_DID",
        "PDS_HOSTNAME",
        "PDS_JWT_SECRET",
        "PDS_ADMIN_PASSWORD",
        "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
        "There",
        "PDS_EMAIL_SMTP_URL",
    }
    for problem in caught.value.problems:
        assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"PDS_CRAWLERS": "https://relay.example,ftp://relay.example"}, "PDS_CRAWLERS"),
        ({"PDS_CRAWLERS": "https://relay.example:many"}, "PDS_CRAWLERS"),
        ({"PDS_CRAWLERS": "https://"}, "PDS_CRAWLERS"),
        ({"PDS_RATE_LIMIT_BYPASS_IPS": "192.0.2.1,gateway"}, "PDS_RATE_LIMIT_BYPASS_IPS"),
        ({"PDS_RATE_LIMIT_BYPASS_IPS": "192.0.2.0/33"}, "PDS_RATE_LIMIT_BYPASS_IPS"),
        ({"PDS_RATE_LIMIT_BYPASS_IPS": " "}, "PDS_RATE_LIMIT_BYPASS_IPS"),
        ({"PDS_REDIS_SCRATCH_ADDRESS": "redis://localhost"}, "PDS_REDIS_SCRATCH_ADDRESS"),
        ({"PDS_REDIS_SCRATCH_ADDRESS": "localhost:"}, "PDS_REDIS_SCRATCH_ADDRESS"),
        ({"PDS_REDIS_SCRATCH_ADDRESS": "localhost:70000"}, "PDS_REDIS_SCRATCH_ADDRESS"),
        ({"PDS_REDIS_SCRATCH_ADDRESS": "::1:6379"}, "PDS_REDIS_SCRATCH_ADDRESS"),
        ({"PDS_METRICS_PORT": "0"}, "PDS_METRICS_PORT"),
        ({"PDS_ACCOUNT_QUOTA_BYTES": "-1"}, "PDS_ACCOUNT_QUOTA_BYTES"),
        ({"PDS_EVENT_RETENTION_DAYS": "0"}, "PDS_EVENT_RETENTION_DAYS"),
        (
            {"PDS_EVENT_RETENTION_DAYS": "2", "PDS_REPO_BACKFILL_LIMIT_MS": "259200000"},
            "PDS_REPO_BACKFILL_LIMIT_MS",
        ),
        ({"PDS_EVENT_RETENTION_BYTES": "1000000"}, "PDS_EVENT_RETENTION_BYTES"),
        ({"PDS_METRICS_PORT": "65536"}, "PDS_METRICS_PORT"),
        ({"PDS_METRICS_PORT": "3000", "PDS_PORT": "3000"}, "PDS_METRICS_PORT"),
        ({"PDS_JWT_SECRET": ""}, "PDS_JWT_SECRET"),
        ({"PDS_ADMIN_PASSWORD": ""}, "PDS_ADMIN_PASSWORD"),
        ({"PDS_DPOP_SECRET": "abc"}, "PDS_DPOP_SECRET"),
        (
            {"PDS_BSKY_APP_VIEW_CDN_URL_PATTERN": "https://cdn.example/%s/%s"},
            "PDS_BSKY_APP_VIEW_CDN_URL_PATTERN",
        ),
        (
            {"PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": ""},
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
        ),
        (
            {"PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "00" * 32},
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
        ),
        ({"PDS_PLC_ROTATION_KEY_KMS_KEY_ID": "kms"}, "PDS_PLC_ROTATION_KEY_KMS_KEY_ID"),
        ({"PDS_BLOBSTORE_S3_BUCKET": "b"}, "PDS_BLOBSTORE_S3_BUCKET"),
        ({"PDS_BLOBSTORE_S3_BUCKET": "b"}, "to move them, set PDS_BLOBSTORE_MOVE_TO"),
        ({"PDS_BLOBSTORE_MOVE_TO": "s3"}, "set both PDS_BLOBSTORE_DISK_LOCATION and"),
        ({"PDS_BLOBSTORE_S3_BUCKET": "b", "PDS_BLOBSTORE_MOVE_TO": "tape"}, "set disk or s3"),
        ({"PDS_BLOBSTORE_S3_ACCESS_KEY_ID": "k"}, "PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY"),
        ({"PDS_EMAIL_FROM_ADDRESS": "a@b.c"}, "PDS_EMAIL_SMTP_URL"),
        ({"PDS_REQUIRE_SECOND_FACTOR": "true"}, "set PDS_EMAIL_SMTP_URL"),
        ({"PDS_MODERATION_EMAIL_ADDRESS": "a@b.c"}, "PDS_MODERATION_EMAIL_SMTP_URL"),
        (
            {"PDS_EMAIL_SMTP_URL": "http://m", "PDS_EMAIL_FROM_ADDRESS": "a@b.c"},
            "PDS_EMAIL_SMTP_URL is not an smtp:// or smtps:// URL",
        ),
        (
            {"PDS_EMAIL_SMTP_URL": "smtp://m", "PDS_EMAIL_FROM_ADDRESS": "a@b.c, d@e.f"},
            "PDS_EMAIL_FROM_ADDRESS",
        ),
        (
            {"PDS_MODERATION_EMAIL_SMTP_URL": "smtp://", "PDS_MODERATION_EMAIL_ADDRESS": "a@b.c"},
            "PDS_MODERATION_EMAIL_SMTP_URL names no host",
        ),
        ({"PDS_INVITE_INTERVAL": "0"}, "PDS_INVITE_INTERVAL"),
        ({"PDS_INVITE_INTERVAL": "-5"}, "PDS_INVITE_INTERVAL"),
        ({"PDS_BSKY_APP_VIEW_URL": "https://a.example"}, "PDS_BSKY_APP_VIEW_DID"),
        ({"PDS_MOD_SERVICE_URL": "https://a.example"}, "PDS_MOD_SERVICE_DID"),
        ({"PDS_REPORT_SERVICE_URL": "https://a.example"}, "PDS_REPORT_SERVICE_DID"),
        ({"PDS_DID_PLC_URL": "plc.directory"}, "PDS_DID_PLC_URL"),
        ({"PDS_ENTRYWAY_URL": "https://e.example"}, "PDS_ENTRYWAY_URL"),
        ({"PDS_SERVICE_HANDLE_DOMAINS": ".a.example,b.example"}, "PDS_SERVICE_HANDLE_DOMAINS"),
        ({"PDS_RECOVERY_DID_KEY": "did:plc:abc"}, "PDS_RECOVERY_DID_KEY"),
        ({"PDS_HOSTNAME": "pds..example.com"}, "PDS_HOSTNAME"),
        ({"PDS_HOSTNAME": "https://pds.example.com"}, "PDS_HOSTNAME"),
        ({"PDS_HOSTNAME": "localhost"}, "PDS_HOSTNAME"),
        ({"PDS_PORT": "70000"}, "PDS_PORT"),
        ({"PDS_DURABILITY": "fast"}, "PDS_DURABILITY"),
        ({"PDS_BLOB_UPLOAD_LIMIT": "0"}, "PDS_BLOB_UPLOAD_LIMIT"),
        ({"PDS_PROXY_HEADERS_TIMEOUT": "0"}, "PDS_PROXY_HEADERS_TIMEOUT"),
        ({"PDS_PROXY_BODY_TIMEOUT": "-1"}, "PDS_PROXY_BODY_TIMEOUT"),
        ({"PDS_PROXY_MAX_RESPONSE_SIZE": "0"}, "PDS_PROXY_MAX_RESPONSE_SIZE"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(changes: dict[str, str], named: str) -> None:
    (problem,) = problems_with(**changes)
    assert named in problem
    assert "set" in problem


def test_the_password_of_a_mail_server_is_not_told() -> None:
    url = "smtp://me:hunter2@mail:port"
    (problem,) = problems_with(PDS_EMAIL_SMTP_URL=url, PDS_EMAIL_FROM_ADDRESS="a@b.c")
    assert "hunter2" not in problem


def test_secrets_do_not_show_in_the_representation() -> None:
    shown = repr(settings_with(PDS_EMAIL_SMTP_URL="smtp://u:pw@mail", PDS_EMAIL_FROM_ADDRESS="a@b"))
    for secret in ("jwt-secret", "admin-pass", "11" * 32, "u:pw"):
        assert secret not in shown


def test_settings_do_not_change_after_start() -> None:
    settings = settings_with()
    with pytest.raises(ValidationError):
        settings.service.port = 1


def test_the_process_environment_is_the_default_source(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WORKING.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PDS_PORT", "4321")
    assert read_settings().service.port == 4321


def test_every_setting_is_documented_once() -> None:
    documented = documented_settings()
    names = [setting.name for setting in documented]
    assert len(names) == len(set(names))
    assert {"PDS_PORT", "PDS_JWT_SECRET", "PDS_DURABILITY", "PDS_BIND_ADDRESS", "LOG_LEVEL"} <= set(
        names
    )
    for setting in documented:
        assert setting.description, setting.name
        assert setting.type in {"string", "integer", "boolean", "list"}
    port = next(setting for setting in documented if setting.name == "PDS_PORT")
    assert (port.type, port.default) == ("integer", "2583")


def test_every_variable_of_the_reference_is_read() -> None:
    listed = Path(__file__).parents[2] / "fixtures" / "reference-variables.txt"
    names = {line for line in listed.read_text().splitlines() if not line.startswith("#")}
    assert "PDS_PORT" in names
    assert names <= {setting.name for setting in documented_settings()}


@pytest.mark.parametrize(
    ("environ", "address", "warnings"),
    [
        ({}, "", 0),
        ({"PDS_BIND_ADDRESS": "127.0.0.1"}, "127.0.0.1", 0),
        ({"PDS_HOST": "127.0.0.1"}, "127.0.0.1", 1),
        ({"PDS_HOST": "::1", "PDS_BIND_ADDRESS": "127.0.0.1"}, "127.0.0.1", 1),
        ({"PDS_HOST": "https://pds.example.com"}, "", 1),
    ],
)
def test_the_old_name_of_the_address_still_works_and_is_told(
    environ: dict[str, str], address: str, warnings: int
) -> None:
    settings = read_settings(WORKING | environ)
    assert settings.bind_address == address
    assert len(find_old_names(settings)) == warnings
