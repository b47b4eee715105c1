"""Checks for settings of replication that cannot work, with messages as in `pds.config.checks`.

A URL is checked here only for its kind. `pds replicate` takes it apart, and it may contain a
password, so it is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pds.config.groups.replication import ReplicationSettings
    from pds.config.settings import Settings

_SCHEMES: Final = ("s3", "file", "sftp")
_RECIPIENT: Final = re.compile(r"age1[02-9ac-hj-np-z]{58}")
"""A recipient of age's kind X25519, as age-keygen prints it."""
_SEALINGS: Final = (
    "PDS_REPLICATION_KEY_PASSPHRASE",
    "PDS_REPLICATION_KEY_RECIPIENT",
    "PDS_REPLICATION_KEYS_IN_CLEAR",
)
_MIN_PASSPHRASE: Final = 12
_MAX_HOT_SET: Final = 5_000
"""Litestream has a thread and some 200 KiB for each database, and looks at each every second."""


def check_replication(settings: Settings) -> Iterator[str]:
    """Yield why this server cannot be replicated as configured."""
    replication = settings.replication
    if replication.url is None:
        return
    scheme, colon, place = replication.url.partition("://")
    if scheme not in _SCHEMES or not colon or not place:
        yield (
            "PDS_REPLICATION_URL is not the URL of a place for replicas: set one such as "
            "s3://bucket/path, file:///backup/pds or sftp://user@host/path"
        )
    elif scheme == "file":
        yield from _check_directory(settings, place)
    yield from _check_sealing(replication)
    yield from _check_numbers(replication)


def _check_directory(settings: Settings, place: str) -> Iterator[str]:
    for name, directory in (
        ("PDS_DATA_DIRECTORY", settings.data_directory),
        ("PDS_BLOBSTORE_DISK_LOCATION", settings.blob_directory),
    ):
        if directory is not None and Path(place).is_relative_to(directory.absolute()):
            yield (
                f"PDS_REPLICATION_URL is a directory in {name}, so that both would be lost "
                "together: set one on another disk, such as file:///backup/pds"
            )
            return


def _check_sealing(replication: ReplicationSettings) -> Iterator[str]:
    values = (replication.key_passphrase, replication.key_recipient, replication.keys_in_clear)
    chosen = [name for name, value in zip(_SEALINGS, values, strict=True) if value]
    if len(chosen) > 1:
        yield (
            f"{' and '.join(chosen)} are both set, and signing keys are protected in one way: "
            "unset all but one"
        )
    elif not chosen:
        yield (
            "PDS_REPLICATION_URL is set, and nothing says how signing keys are protected in the "
            "replica: set PDS_REPLICATION_KEY_PASSPHRASE to the output of openssl rand --hex 16 "
            "and keep a copy of it elsewhere, because without it no signing key can be restored"
        )
    if replication.key_passphrase and len(replication.key_passphrase) < _MIN_PASSPHRASE:
        yield (
            f"PDS_REPLICATION_KEY_PASSPHRASE has less than {_MIN_PASSPHRASE} characters: set the "
            "output of openssl rand --hex 16"
        )
    if replication.key_recipient and not _RECIPIENT.fullmatch(replication.key_recipient):
        yield (
            f'PDS_REPLICATION_KEY_RECIPIENT is "{_shown(replication.key_recipient)}": set the '
            "public key that age-keygen prints, which starts with age1"
        )


def _shown(recipient: str) -> str:
    """Return what may be shown of a value, because somebody may set the secret identity."""
    return "AGE-SECRET-KEY-…" if "SECRET" in recipient.upper() else recipient


def _check_numbers(replication: ReplicationSettings) -> Iterator[str]:
    for name, value, least, most, what in (
        ("PDS_REPLICATION_HOT_SET", replication.hot_set, 1, _MAX_HOT_SET, "accounts"),
        (
            "PDS_REPLICATION_IDLE_TIMEOUT",
            replication.idle_timeout_ms,
            1_000,
            86_400_000,
            "milliseconds",
        ),
        (
            "PDS_REPLICATION_SWEEP_INTERVAL",
            replication.sweep_interval_ms,
            1_000,
            86_400_000,
            "milliseconds",
        ),
        ("PDS_REPLICATION_RETENTION_DAYS", replication.retention_days, 1, 3_650, "days"),
    ):
        if not least <= value <= most:
            yield f"{name} is {value}: set a number of {what} from {least} to {most}"
