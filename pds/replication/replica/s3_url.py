"""`s3://bucket/prefix?endpoint=…&region=…`: a replica in a bucket, with Litestream's options.

Credentials come from the environment: `AWS_ACCESS_KEY_ID` or `LITESTREAM_ACCESS_KEY_ID`, and
`AWS_SECRET_ACCESS_KEY` or `LITESTREAM_SECRET_ACCESS_KEY`; else a profile, or the role of the
machine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from actor_store.blob_store.s3_location import DEFAULT_REGION, S3Location, S3Wording
from pds.replication.errors import InvalidReplicaUrl

WORDING: Final = S3Wording(
    noun="the replica in the bucket",
    credentials=(
        "set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY to a key that may use it, "
        "for good: Litestream takes no AWS_SESSION_TOKEN"
    ),
    bucket="create it, or correct the bucket and ?endpoint= of the replica's URL",
    endpoint="set ?endpoint= of the replica's URL to that of the S3 server, without the bucket",
    region="set ?region= of the replica's URL to the bucket's region",
    permissions=(
        "allow this key s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, "
        "s3:DeleteObject and s3:AbortMultipartUpload there"
    ),
    other="look at the replica's URL and at the log of the S3 server",
)
_UPLOAD_MS: Final = 60_000
"""For a part of 8 MiB, over a slow line as well."""
_MAX_PREFIX_BYTES: Final = 500
"""A key has at most 1024."""
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_SERVER_NAME: Final = re.compile(
    r":|\.(amazonaws\.com|digitaloceanspaces\.com|backblazeb2\.com|filebase\.com|scw\.cloud)$"
)
"""Litestream takes these for the names of a bucket and its server in one."""
_SPELLINGS: Final[Mapping[str, str]] = {
    "forcePathStyle": "force-path-style",
    "skipVerify": "skip-verify",
    "signPayload": "sign-payload",
    "signAcceptEncoding": "sign-accept-encoding",
    "requireContentMD5": "require-content-md5",
    "partSize": "part-size",
    "storageClass": "storage-class",
}
_BOOLEANS: Final = (
    *("force-path-style", "skip-verify", "sign-payload", "sign-accept-encoding"),
    "require-content-md5",
)
_NUMBERS: Final = ("part-size", "concurrency")
_OPTIONS: Final = frozenset({"endpoint", "region", "storage-class", *_BOOLEANS, *_NUMBERS})
_TRUE: Final = frozenset({"true", "1", "t", "yes"})
_FALSE: Final = frozenset({"false", "0", "f", "no"})
_MIN_PART_BYTES: Final = 5 * 1024 * 1024
_COLD: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(slots=True, frozen=True)
class S3Address:
    """A bucket, and what the keys of the replica start with."""

    bucket: str
    prefix: str
    """Empty, or with a slash at its end."""
    options: Mapping[str, str]
    """Litestream's options, in its own spelling with dashes; never a secret."""

    @classmethod
    def parse(cls, parts: SplitResult, environ: Mapping[str, str]) -> S3Address:
        """Read a URL with the scheme `s3`. Raises `InvalidReplicaUrl`."""
        if "@" in parts.netloc:
            raise InvalidReplicaUrl(
                "Litestream takes no credentials from the URL of a bucket: "
                "set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY instead"
            )
        bucket = parts.netloc
        if _SERVER_NAME.search(bucket):
            raise InvalidReplicaUrl(
                f"{bucket!r} is not the name of a bucket alone: write "
                "s3://bucket/prefix?endpoint=https://server&region=name"
            )
        if not _BUCKET.fullmatch(bucket):
            raise InvalidReplicaUrl(f"{bucket!r} is no name of a bucket: write s3://bucket/prefix")
        options = _parse_options(parts.query)
        _complete(options, environ)
        return cls(bucket, _parse_prefix(parts.path), options)

    def location(self, environ: Mapping[str, str]) -> S3Location:
        """Return the bucket, with the credentials that Litestream takes from the environment."""
        key_id, secret = (
            environ.get(f"AWS_{name}") or environ.get(f"LITESTREAM_{name}")
            for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
        )
        has_both = bool(key_id and secret)
        return S3Location(
            bucket=self.bucket,
            region=self.options.get("region"),
            endpoint=self.options.get("endpoint"),
            force_path_style=self.options["force-path-style"] == "true",
            access_key_id=key_id if has_both else None,
            secret_access_key=secret if has_both else None,
            upload_timeout_ms=_UPLOAD_MS,
            verify_tls=self.options.get("skip-verify") != "true",
            wording=WORDING,
        )

    def for_litestream(self, name: str) -> str:
        """Return the URL by which Litestream reaches a file of the replica."""
        return self._url(self.prefix + name)

    def __str__(self) -> str:
        return self._url(self.prefix.rstrip("/"))

    def _url(self, key: str) -> str:
        # Not quote_plus: the plus sign in keys is a plus sign.
        return f"s3://{self.bucket}/{quote(key, safe='/:=@')}?{urlencode(self.options)}"


def _parse_prefix(path: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise InvalidReplicaUrl("the replica's URL has a % that is none of a code: write %25")
    try:
        prefix = unquote(path, errors="strict").strip("/")
    except UnicodeDecodeError as exc:
        raise InvalidReplicaUrl("the prefix in the replica's URL is not UTF-8") from exc
    if not prefix:
        return ""
    if any(part in {"", ".", ".."} for part in prefix.split("/")):
        raise InvalidReplicaUrl("the prefix in the replica's URL has empty parts or dots")
    if not prefix.isprintable() or len(prefix.encode()) > _MAX_PREFIX_BYTES:
        raise InvalidReplicaUrl(
            f"the prefix in the replica's URL has more than {_MAX_PREFIX_BYTES} bytes, "
            "or characters that cannot be seen"
        )
    return prefix + "/"


def _parse_options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for spelling, value in parse_qsl(query, keep_blank_values=True):
        name = _SPELLINGS.get(spelling, spelling)
        if name.lower().startswith("sse"):
            raise InvalidReplicaUrl(
                f"the option {name} cannot be used: set the encryption of the bucket instead "
                "(its default encryption), which holds for all files of the replica"
            )
        if name not in _OPTIONS:
            known = ", ".join(sorted(_OPTIONS))
            raise InvalidReplicaUrl(f"the option {name!r} of the replica's URL is none of {known}")
        if name in options:
            raise InvalidReplicaUrl(f"the replica's URL has the option {name} twice")
        options[name] = _checked(name, value)
    return options


def _checked(name: str, value: str) -> str:
    """Return the value of an option as Litestream writes it."""
    if not value:
        raise InvalidReplicaUrl(f"the option {name} of the replica's URL is empty: leave it out")
    if name in _BOOLEANS:
        if value.lower() not in _TRUE | _FALSE:
            raise InvalidReplicaUrl(f"the option {name} of the replica's URL is true or false")
        return "true" if value.lower() in _TRUE else "false"
    if name in _NUMBERS:
        least = _MIN_PART_BYTES if name == "part-size" else 1
        if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) < least:
            raise InvalidReplicaUrl(
                f"the option {name} of the replica's URL is a number of at least {least}"
            )
    if name == "storage-class" and value in _COLD:
        raise InvalidReplicaUrl(
            f"storage-class={value} keeps Litestream from reading its own files: "
            "use GLACIER_IR, STANDARD_IA or none"
        )
    if name == "endpoint":
        return _checked_endpoint(value)
    return value


def _checked_endpoint(value: str) -> str:
    """Return the URL of an S3 server, with the scheme that Litestream adds to a bare name."""
    if "://" not in value:
        value = f"{'http' if _is_local(value) else 'https'}://{value}"
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_plain = not (parts.query or parts.fragment or "@" in parts.netloc)
        _ = parts.port
    except ValueError:
        is_url = is_plain = False
    if not is_url or not is_plain:
        raise InvalidReplicaUrl(
            "the option endpoint of the replica's URL is the URL of an S3 server alone, such as "
            "https://s3.example.com"
        )
    return value.rstrip("/")


def _is_local(server: str) -> bool:
    try:
        host = urlsplit(f"//{server}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _complete(options: dict[str, str], environ: Mapping[str, str]) -> None:
    """Say what Litestream would else decide by itself."""
    server = environ.get("LITESTREAM_S3_ENDPOINT")
    if "endpoint" not in options and server:
        options["endpoint"] = _checked_endpoint(server)
    has_endpoint = "endpoint" in options
    options.setdefault("force-path-style", "true" if has_endpoint else "false")
    if has_endpoint:
        options.setdefault("region", DEFAULT_REGION)
