"""The variables of the original ATCR hold, translated into those of this server.

Only if one of its own, `HOLD_…`, is set: the others, such as `AWS_REGION`, may be meant for other
programs. A variable of this server wins over those of the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_OWN: Final = {
    "HOLD_PUBLIC_URL": "PDS_HOLD_PUBLIC_URL",
    "HOLD_OWNER": "PDS_HOLD_OWNER",
    "HOLD_DATABASE_DIR": "PDS_DATA_DIRECTORY",
    "HOLD_PROFILE_AVATAR": "PDS_HOLD_PROFILE_AVATAR",
    "HOLD_REGION": "PDS_HOLD_REGION",
}
_OWN_FLAGS: Final = {
    "HOLD_PUBLIC": "PDS_HOLD_PUBLIC",
    "HOLD_ALLOW_ALL_CREW": "PDS_HOLD_ALLOW_ALL_CREW",
    "HOLD_BLUESKY_POSTS_ENABLED": "PDS_HOLD_BLUESKY_POSTS",
}
_ADDRESS: Final = "HOLD_SERVER_ADDR"
_DEFAULT_PORT: Final = "8080"
_S3: Final = {
    "S3_BUCKET": "PDS_BLOBSTORE_S3_BUCKET",
    "S3_ENDPOINT": "PDS_BLOBSTORE_S3_ENDPOINT",
    "AWS_REGION": "PDS_BLOBSTORE_S3_REGION",
    "AWS_ACCESS_KEY_ID": "PDS_BLOBSTORE_S3_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY": "PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY",
}
_DEFAULT_REGION: Final = "us-east-1"
_DISK: Final = "PDS_BLOBSTORE_DISK_LOCATION"
_FLAGS: Final = {"true": "true", "1": "true", "false": "false", "0": "false"}


@dataclass(slots=True)
class HoldNames:
    """What the variables of an original hold mean here."""

    values: dict[str, str] = field(default_factory=dict)
    """Variables of this server that were not set."""
    taken: dict[str, str] = field(default_factory=dict)
    """For each variable of the original that was used, the first of ours that it stands for."""
    problems: list[str] = field(default_factory=list)


def translate_hold_names(environ: Mapping[str, str]) -> HoldNames:
    """Translate the variables of the original hold in `environ`; nothing if it has none."""
    translation = _Translation(environ)
    if any(environ.get(name) for name in (*_OWN, *_OWN_FLAGS, _ADDRESS)):
        translation.run()
    return translation.found


class _Translation:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.found = HoldNames()

    def run(self) -> None:
        self._default("PDS_HOLD_ENABLED", "true")
        for name, ours in _OWN.items():
            self._take(name, ours)
        for name, ours in _OWN_FLAGS.items():
            self._take_flag(name, ours)
        self._take("ATCR_DISCOVERY_URL", "PDS_HOLD_DISCOVERY_URLS")
        self._take_host()
        self._take_address()
        self._take_flag("DISABLE_PRESIGNED_URLS", "PDS_HOLD_PRESIGNED_URLS", negated=True)
        if not any(self._environ.get(name) for name in (_DISK, _S3["S3_BUCKET"])):
            self._take_storage()

    def _take_host(self) -> None:
        """Set the host name of the server to that of the hold."""
        try:
            host = urlsplit(self._environ.get("HOLD_PUBLIC_URL", "")).hostname
        except ValueError:
            return
        if host:
            self._default("PDS_HOSTNAME", host)

    def _take_address(self) -> None:
        address = self._environ.get(_ADDRESS, "")
        host, colon, port = address.rpartition(":")
        if address and (not colon or not port.isdecimal()):
            self.found.problems.append(
                f'{_ADDRESS} is "{address}": set an address such as :8080 or 127.0.0.1:8080'
            )
            return
        if address:
            self._use(_ADDRESS, "PDS_PORT", port)
            if host:
                self._use(_ADDRESS, "PDS_BIND_ADDRESS", host.strip("[]"))
        else:
            self._default("PDS_PORT", _DEFAULT_PORT)

    def _take_storage(self) -> None:
        driver = self._environ.get("STORAGE_DRIVER") or "s3"
        if driver == "filesystem":
            self._take("STORAGE_ROOT_DIR", _DISK)
        elif driver == "s3":
            for name, ours in _S3.items():
                self._take(name, ours)
            self._default(_S3["AWS_REGION"], _DEFAULT_REGION)
            if self._environ.get("S3_ENDPOINT"):
                # As the original does: servers other than AWS's seldom have a host name for each
                # bucket.
                self._default("PDS_BLOBSTORE_S3_FORCE_PATH_STYLE", "true")
        else:
            self.found.problems.append(f'STORAGE_DRIVER is "{driver}": set s3 or filesystem')

    def _take(self, name: str, ours: str) -> None:
        value = self._environ.get(name)
        if value:
            self._use(name, ours, value)

    def _take_flag(self, name: str, ours: str, *, negated: bool = False) -> None:
        raw = self._environ.get(name)
        if not raw:
            return
        value = _FLAGS.get(raw.lower())
        if value is None:
            self.found.problems.append(f'{name} is "{raw}": set true or false, or unset it')
        elif negated:
            self._use(name, ours, "false" if value == "true" else "true")
        else:
            self._use(name, ours, value)

    def _use(self, name: str, ours: str, value: str) -> None:
        if not self._environ.get(ours):
            self.found.values[ours] = value
            self.found.taken.setdefault(name, ours)

    def _default(self, ours: str, value: str) -> None:
        if not self._environ.get(ours):
            self.found.values.setdefault(ours, value)
