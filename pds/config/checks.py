"""Checks for settings that cannot work, with messages that tell an operator what to do.

Each check yields one message per problem and continues, so that one report has them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from pds.config.addresses import is_http_url, parse_base_url, parse_host_port, parse_network
from pds.config.entryway_checks import check_entryway
from pds.config.hold.checks import check_hold
from pds.config.mail_address import InvalidMailAddress, parse_address
from pds.config.mail_url import InvalidMailUrl, parse_mail_url
from pds.config.replication_checks import check_replication
from pds.config.settings import Settings
from repo.syntax import is_did

_HEX_32_BYTES: Final = re.compile(r"[0-9a-fA-F]{64}")
_HOST: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
_DAY_MS: Final = 86_400_000
_LEAST_LOG_BYTES: Final = 16 << 20
"""Room for some thousand events, however long the quiet hours are."""
_K256_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_WORKERS: Final = re.compile(r"[1-9]|[1-5]\d|6[0-4]")
MIN_WORKER_TIMEOUT_MS: Final = 5_000
"""Shorter, and a machine that is busy for a moment would lose its workers."""


def find_problems(settings: Settings, *, reads_only: bool = False) -> list[str]:
    """Return every reason not to start with these settings; empty if they are fine.

    With `reads_only`, the server has no logins and needs neither secrets nor https.
    """
    checks = _READING if reads_only else (*_READING, *_WRITING)
    return [problem for check in checks for problem in check(settings)]


def _check_service(settings: Settings) -> Iterator[str]:
    service = settings.service
    if not 0 <= service.port <= 65535:
        yield f"PDS_PORT is {service.port}: set a TCP port from 1 to 65535"
    if service.did is not None and not is_did(service.did):
        yield (
            f'PDS_SERVICE_DID is "{service.did}", which is not a DID: set one such as '
            "did:web:pds.example.com, or unset it to use did:web:<PDS_HOSTNAME>"
        )
    if not _HOST.fullmatch(settings.hostname):
        yield (
            f'PDS_HOSTNAME is "{service.hostname}": set the bare host name, such as '
            "pds.example.com, without https:// and without a port"
        )
    for name, value in (
        ("PDS_BLOB_UPLOAD_LIMIT", service.blob_upload_limit_bytes),
        ("PDS_MAX_REPO_IMPORT_SIZE", service.max_repo_import_bytes),
    ):
        if value is not None and value <= 0:
            yield f"{name} is {value}: set a number of bytes above zero"
    if not (service.workers == "auto" or _WORKERS.fullmatch(service.workers)):
        yield f'PDS_WORKERS is "{service.workers}": set a number from 1 to 64, or auto'
    if service.worker_timeout_ms < MIN_WORKER_TIMEOUT_MS:
        yield (
            f"PDS_WORKER_TIMEOUT is {service.worker_timeout_ms}: set at least "
            f"{MIN_WORKER_TIMEOUT_MS} milliseconds"
        )
    quota = service.account_quota_bytes
    if quota is not None and quota < 0:
        yield f"PDS_ACCOUNT_QUOTA_BYTES is {quota}: set a number of bytes, or unset it"


def _check_workers(settings: Settings) -> Iterator[str]:
    if settings.service.workers == "1":
        return
    if settings.hold.enabled:
        yield (
            "PDS_WORKERS is set, and a hold is served by one process: unset it, or run the hold "
            "as a server of its own (PDS_HOLD_ONLY=true)"
        )
    if settings.blobstore.move_to is not None:
        yield (
            "PDS_WORKERS is set, and PDS_BLOBSTORE_MOVE_TO needs one process: unset PDS_WORKERS "
            "until all blobs have moved"
        )


def _check_https(settings: Settings) -> Iterator[str]:
    if settings.public_url.startswith("http://") and not settings.service.dev_mode:
        yield (
            "PDS_HOSTNAME is unset or localhost, so the public URL is "
            f"{settings.public_url}, and OAuth needs https: set PDS_HOSTNAME to the server's "
            "public name, or PDS_DEV_MODE=true for development"
        )


def _check_secrets(settings: Settings) -> Iterator[str]:
    secrets = settings.secrets
    if not secrets.jwt_secret:
        yield "PDS_JWT_SECRET is missing: set a long random secret (openssl rand --hex 16)"
    if not secrets.admin_password:
        yield "PDS_ADMIN_PASSWORD is missing: set a long random password (openssl rand --hex 16)"
    if secrets.dpop_secret is not None and not _HEX_32_BYTES.fullmatch(secrets.dpop_secret):
        yield "PDS_DPOP_SECRET is not 64 hex digits: set the output of openssl rand --hex 32"


def _check_rotation_key(settings: Settings) -> Iterator[str]:
    name = "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX"
    kms_name = "PDS_PLC_ROTATION_KEY_KMS_KEY_ID"
    key, kms_id = settings.secrets.plc_rotation_key_hex, settings.secrets.plc_rotation_key_kms_id
    if key and kms_id:
        yield f"{name} and {kms_name} are both set: unset {kms_name}"
    elif kms_id:
        yield (
            f"{kms_name} is set, but keys in AWS KMS are not supported: unset it and set {name} "
            "to a secp256k1 private key of 64 hex digits"
        )
    elif not key:
        yield f"{name} is missing: set a secp256k1 private key of 64 hex digits"
    if key and not _is_k256_private_key(key):
        yield f"{name} is not a secp256k1 private key: set the 64 hex digits of one"


def _is_k256_private_key(text: str) -> bool:
    return bool(_HEX_32_BYTES.fullmatch(text)) and 0 < int(text, 16) < _K256_ORDER


def _check_database(settings: Settings) -> Iterator[str]:
    if settings.database.durability not in ("normal", "full"):
        yield f'PDS_DURABILITY is "{settings.database.durability}": set normal or full'


def _check_blobstore(settings: Settings) -> Iterator[str]:
    blobs = settings.blobstore
    if blobs.move_to not in (None, "disk", "s3"):
        yield f'PDS_BLOBSTORE_MOVE_TO is "{blobs.move_to}": set disk or s3, or unset it'
    elif blobs.move_to is not None and not (blobs.disk_location and blobs.s3_bucket):
        yield (
            "PDS_BLOBSTORE_MOVE_TO is set, and blobs move between two places: set both "
            "PDS_BLOBSTORE_DISK_LOCATION and PDS_BLOBSTORE_S3_BUCKET, or unset it once all blobs "
            "have moved"
        )
    if blobs.disk_location and blobs.s3_bucket and blobs.move_to is None:
        yield (
            "PDS_BLOBSTORE_DISK_LOCATION and PDS_BLOBSTORE_S3_BUCKET are both set: blobs have "
            "one home, so unset the one that does not hold them; or, to move them, set "
            "PDS_BLOBSTORE_MOVE_TO to disk or s3, and use `pds blobs migrate`"
        )
    elif not blobs.disk_location and not blobs.s3_bucket:
        yield (
            "There is no place for blobs: set PDS_BLOBSTORE_DISK_LOCATION to a directory, "
            "or PDS_BLOBSTORE_S3_BUCKET to a bucket"
        )
    yield from _check_pair(
        ("PDS_BLOBSTORE_S3_ACCESS_KEY_ID", blobs.s3_access_key_id),
        ("PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY", blobs.s3_secret_access_key),
    )
    yield from _check_url("PDS_BLOBSTORE_S3_ENDPOINT", blobs.s3_endpoint)
    yield from _check_url("PDS_BLOBSTORE_CDN_URL", blobs.cdn_url)
    for name, value in (
        ("PDS_BLOBSTORE_S3_UPLOAD_TIMEOUT_MS", blobs.s3_upload_timeout_ms),
        ("PDS_BLOBSTORE_S3_REQUEST_TIMEOUT_MS", blobs.s3_request_timeout_ms),
    ):
        if value is not None and value <= 0:
            yield f"{name} is {value}: set a number of milliseconds above zero"
    if blobs.s3_redirect not in ("none", "presigned"):
        yield f'PDS_BLOBSTORE_S3_REDIRECT is "{blobs.s3_redirect}": set none or presigned'
    elif blobs.cdn_url and blobs.s3_redirect == "none":
        yield (
            "PDS_BLOBSTORE_CDN_URL is set, but getBlob redirects nobody: set "
            "PDS_BLOBSTORE_S3_REDIRECT=presigned, or unset PDS_BLOBSTORE_CDN_URL"
        )


def _check_invites(settings: Settings) -> Iterator[str]:
    interval_ms = settings.invites.interval_ms
    if interval_ms is not None and interval_ms <= 0:
        yield (
            f"PDS_INVITE_INTERVAL is {interval_ms}: set the milliseconds in which a user earns an "
            "invite code, or unset it for none"
        )


def _check_email(settings: Settings) -> Iterator[str]:
    email = settings.email
    for url, address in (
        (
            ("PDS_EMAIL_SMTP_URL", email.smtp_url),
            ("PDS_EMAIL_FROM_ADDRESS", email.from_address),
        ),
        (
            ("PDS_MODERATION_EMAIL_SMTP_URL", email.moderation_smtp_url),
            ("PDS_MODERATION_EMAIL_ADDRESS", email.moderation_address),
        ),
    ):
        yield from _check_pair(url, address)
        yield from _check_mail_url(*url)
        yield from _check_mail_address(*address)


def _check_second_factors(settings: Settings) -> Iterator[str]:
    needs_mail = settings.signin.require_second_factor and not settings.service.dev_mode
    if needs_mail and settings.entryway_service is None and not settings.email.smtp_url:
        yield (
            "PDS_REQUIRE_SECOND_FACTOR is set, and accounts without a second factor get codes by "
            "email: set PDS_EMAIL_SMTP_URL and PDS_EMAIL_FROM_ADDRESS, so that mails can be sent"
        )


def _check_services(settings: Settings) -> Iterator[str]:
    services = settings.services
    for prefix, url, did in (
        ("PDS_BSKY_APP_VIEW", services.appview_url, services.appview_did),
        ("PDS_MOD_SERVICE", services.mod_url, services.mod_did),
        ("PDS_REPORT_SERVICE", services.report_url, services.report_did),
    ):
        yield from _check_url(f"{prefix}_URL", url)
        if url and not did:
            yield (
                f"{prefix}_URL is set but {prefix}_DID is missing: set the service's DID, "
                f"or unset {prefix}_URL"
            )
    pattern = services.appview_cdn_url_pattern
    if pattern and pattern.count("%s") != 3:
        yield (
            f'PDS_BSKY_APP_VIEW_CDN_URL_PATTERN is "{pattern}": set a URL with %s three times, for '
            "preset, DID and CID, or unset it to show images from this server"
        )


def _check_proxy(settings: Settings) -> Iterator[str]:
    proxy = settings.proxy
    for name, value, unit in (
        ("PDS_PROXY_HEADERS_TIMEOUT", proxy.headers_timeout_ms, "milliseconds"),
        ("PDS_PROXY_BODY_TIMEOUT", proxy.body_timeout_ms, "milliseconds"),
        ("PDS_PROXY_MAX_RESPONSE_SIZE", proxy.max_response_bytes, "bytes"),
    ):
        if value <= 0:
            yield f"{name} is {value}: set a number of {unit} above zero"


def _check_crawlers(settings: Settings) -> Iterator[str]:
    for crawler in settings.services.crawlers:
        if not _can_parse(parse_base_url, crawler):
            yield (
                f'PDS_CRAWLERS has "{crawler}": set the base URLs of relays, such as '
                "https://bsky.network, separated by commas"
            )


def _check_subscription(settings: Settings) -> Iterator[str]:
    subscription = settings.subscription
    days, size_bytes = subscription.retention_days, subscription.retention_bytes
    if days is not None and days * _DAY_MS < max(_DAY_MS, subscription.backfill_limit_ms):
        yield (
            f"PDS_EVENT_RETENTION_DAYS is {days}: set one day or more, and no less than cursors "
            "may reach back (PDS_REPO_BACKFILL_LIMIT_MS), or unset it to keep all events"
        )
    if size_bytes is not None and size_bytes < _LEAST_LOG_BYTES:
        yield (
            f"PDS_EVENT_RETENTION_BYTES is {size_bytes}: set {_LEAST_LOG_BYTES} or more, or unset "
            "it to keep all events"
        )


def _check_limits(settings: Settings) -> Iterator[str]:
    limits = settings.limits
    for network in limits.bypass_ips:
        if not _can_parse(parse_network, network):
            yield (
                f'PDS_RATE_LIMIT_BYPASS_IPS has "{network}": set addresses and networks such as '
                "192.0.2.1 and 2001:db8::/32, separated by commas"
            )
    if limits.redis_address is not None and not _can_parse(
        partial(parse_host_port, default_port=1), limits.redis_address
    ):
        yield (
            f'PDS_REDIS_SCRATCH_ADDRESS is "{limits.redis_address}": set a host, or a host and '
            "a port such as localhost:6379"
        )


def _check_identity(settings: Settings) -> Iterator[str]:
    identity = settings.identity
    yield from _check_url("PDS_DID_PLC_URL", identity.plc_url)
    for domain in identity.service_handle_domains:
        if not domain.startswith("."):
            yield (
                f'PDS_SERVICE_HANDLE_DOMAINS has "{domain}": each domain must start with a dot, '
                f"so set .{domain.strip()}"
            )
    key = identity.recovery_did_key
    if key is not None and not key.startswith("did:key:z"):
        yield f'PDS_RECOVERY_DID_KEY is "{key}": set a did:key, which starts with did:key:z'


def _check_metrics(settings: Settings) -> Iterator[str]:
    port = settings.metrics.port
    if port is None:
        return
    if not 0 < port < 65_536:
        yield f"PDS_METRICS_PORT is {port}: set a TCP port from 1 to 65535, or unset it"
    elif port == settings.service.port:
        yield f"PDS_METRICS_PORT is {port}, as PDS_PORT is: set a port that nothing else uses"


def _check_pair(first: tuple[str, str | None], second: tuple[str, str | None]) -> Iterator[str]:
    """Check two variables that must be set together."""
    for (name, value), (other_name, other_value) in ((first, second), (second, first)):
        if value and not other_value:
            yield f"{name} is set but {other_name} is missing: set both, or unset {name}"


def _can_parse(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _check_url(name: str, url: str | None) -> Iterator[str]:
    if url and not is_http_url(url):
        yield f'{name} is "{url}": set a URL that starts with https:// or http://'


def _check_mail_url(name: str, url: str | None) -> Iterator[str]:
    if not url:
        return
    try:
        parse_mail_url(url)
    except InvalidMailUrl as exc:
        # The value is not repeated, because it may contain a password.
        yield (
            f"{name} {exc}: set one such as smtps://user:password@smtp.example.com:465 or "
            "smtp://user:password@host, with special characters of user and password "
            "percent-encoded"
        )


def _check_mail_address(name: str, address: str | None) -> Iterator[str]:
    if not address:
        return
    try:
        parse_address(address)
    except InvalidMailAddress:
        yield (
            f'{name} is "{address}": set one address, such as noreply@example.com '
            "or My PDS <noreply@example.com>"
        )


_READING: Final = (
    _check_service,
    _check_database,
    _check_subscription,
    _check_limits,
    _check_identity,
    _check_metrics,
)
_WRITING: Final = (
    _check_workers,
    _check_https,
    _check_secrets,
    _check_rotation_key,
    _check_blobstore,
    _check_invites,
    _check_email,
    _check_second_factors,
    _check_services,
    _check_proxy,
    _check_crawlers,
    check_entryway,
    check_hold,
    check_replication,
)
