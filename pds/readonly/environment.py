"""The settings of a read-only server: those of any server, minus what it does not use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pds.config import ConfigError, Settings, read_settings
from pds.config.groups.service import BrandingSettings
from pds.readonly.car_files import CACHE, shown_path

_READ: Final = (
    *("LOG_", "PDS_METRICS_", "PDS_DID_", "PDS_ID_", "PDS_FETCH_", "PDS_DISABLE_SSRF_PROTECTION"),
    *("PDS_CAR_DIR", "PDS_BLOBS_DIR", "PDS_SERVICE_DID", "PDS_CONTACT_EMAIL_ADDRESS"),
    *("PDS_ACTOR_STORE_CACHE_SIZE", "PDS_MAX_SUBSCRIPTION_BUFFER"),
    *("PDS_SERVICE_NAME", "PDS_PRIVACY_POLICY_URL", "PDS_TERMS_OF_SERVICE_URL"),
    *(str(setting.alias) for setting in BrandingSettings.model_fields.values()),
)
"""Prefixes of the variables that count: no accounts, no other services."""
_CENTURY_MS: Final = 100 * 365 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class ReadonlyEnvironment:
    """The settings, and the location of the archive."""

    settings: Settings
    places: tuple[str, ...]
    """Where the CAR files are: files, directories, patterns."""
    blobs: Path | None


def read_environment(
    environ: Mapping[str, str],
    *,
    places: Sequence[str],
    blobs: Path | None,
    data: Path | None,
    listen: Mapping[str, str],
) -> ReadonlyEnvironment:
    """Read the options, and for what they leave out, the variables. Raises `ConfigError`.

    `listen` are the variables for the listening address. There are no secrets, since nobody can
    log in and nothing is signed.
    """
    kept = {name: value for name, value in environ.items() if name.startswith(_READ)}
    variables = {
        **kept,
        **listen,
        # Every repository was loaded some time ago, but must be replayed from any cursor.
        "PDS_REPO_BACKFILL_LIMIT_MS": str(_CENTURY_MS),
    }
    asked = read_settings(variables, reads_only=True)
    car_directory = asked.readonly.car_directory
    found = tuple(places) or ((car_directory,) if car_directory else ())
    if not found:
        raise ConfigError(["Nothing to serve: give --car, or set PDS_CAR_DIR"])
    missing = [place for place in found if not _start_of(place).exists()]
    if missing:
        raise ConfigError([f"{shown_path(place)} is not there" for place in missing])
    directory = _cache_directory(data, found[0])
    settings = read_settings(
        variables
        | {
            "PDS_DATA_DIRECTORY": str(directory),
            # For uploads, of which there are none; the archive's blobs are in `BlobDirectory`.
            "PDS_BLOBSTORE_DISK_LOCATION": str(directory / "uploads"),
        },
        reads_only=True,
    )
    if blobs is None and asked.readonly.blobs_directory:
        blobs = Path(asked.readonly.blobs_directory)
    if blobs is not None and not blobs.is_dir():
        raise ConfigError([f"{blobs} is not a directory: name that of the blobs, or none"])
    return ReadonlyEnvironment(settings, found, blobs)


def _cache_directory(named: Path | None, first_place: str) -> Path:
    """Return the directory of the stores: the one named, or one next to the first CAR file."""
    directory = Path(os.path.realpath(named or _beside(first_place)))
    try:
        str(directory).encode()
    except UnicodeEncodeError as exc:
        reason = "SQLite needs a path in UTF-8: name another directory with --data"
        raise ConfigError([f"{shown_path(directory)}: {reason}"]) from exc
    return directory


def _beside(place: str) -> Path:
    path = _start_of(place)
    return (path if path.is_dir() else path.parent) / CACHE


def _start_of(place: str) -> Path:
    """Return a file or directory itself, or a pattern's existing parent directory."""
    path = Path(place)
    while not path.exists() and any(mark in str(path) for mark in "*?["):
        path = path.parent
    return path
