"""A data directory that the reference PDS wrote, and what its clients saw of it."""

from __future__ import annotations

import base64
import json
import tarfile
from pathlib import Path
from typing import Any, Final

DIRECTORY: Final = Path(__file__).parents[1] / "fixtures" / "reference-pds"
ARCHIVE: Final = DIRECTORY / "data.tar.gz"
PLC_FILE: Final = DIRECTORY / "plc.json"
CARS: Final = DIRECTORY / "cars"

NAMES: Final = ("alice", "bob", "carol", "dan", "eve", "frank")
ACTIVE: Final = ("alice", "bob", "dan", "eve")
TAKEN_DOWN: Final = "carol"
DEACTIVATED: Final = "frank"

_CENTURY_MS: Final = str(100 * 365 * 24 * 3_600_000)


def unpack(directory: Path) -> Path:
    """Unpack the data directory into `directory`, which is made if need be, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    return directory


def unpack_file(name: str, directory: Path) -> Path:
    """Unpack one file of the top level into `directory` and return it."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extract(f"./{name}", directory, filter="data")
    return directory / name


def manifest() -> Any:
    """The server's secrets, and what its clients saw."""
    return json.loads((DIRECTORY / "manifest.json").read_text())


def environment(data: Path) -> dict[str, str]:
    """The variables that the reference ran with on the directory `data`, but for its port."""
    secrets = manifest()["secrets"]
    return {
        "PDS_HOSTNAME": secrets["hostname"],
        "PDS_DATA_DIRECTORY": str(data),
        "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
        "PDS_SERVICE_HANDLE_DOMAINS": ".test",
        "PDS_JWT_SECRET": secrets["jwtSecret"],
        "PDS_ADMIN_PASSWORD": secrets["adminPassword"],
        "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": secrets["plcRotationKeyK256PrivateKeyHex"],
        "PDS_INVITE_REQUIRED": "false",
        "PDS_DEV_MODE": "true",
        # Without an AppView the reference keeps no preferences.
        "PDS_BSKY_APP_VIEW_URL": "https://appview.invalid",
        "PDS_BSKY_APP_VIEW_DID": "did:example:invalid",
        # The events are older than the day that a cursor may go back by default.
        "PDS_REPO_BACKFILL_LIMIT_MS": _CENTURY_MS,
        # So are the DID documents than the day that they may be used.
        "PDS_DID_CACHE_MAX_TTL": _CENTURY_MS,
    }


def expires_at(jwt: str) -> int:
    """When a token of the manifest expires, in seconds since the Unix epoch."""
    payload = jwt.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return int(claims["exp"])
