"""The environment of `pds dev`: secrets made once and kept beside the data."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pds.config.env_file import read_env_file

ENV_FILE: Final = "dev.env"
_HEADER: Final = "# Written by `pds dev`. Secrets of a development server: not for production.\n"


def dev_environment(
    data: Path, *, host: str, port: int, plc_port: int, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the `PDS_*` variables for a development server, and keep them in `data`/dev.env.

    What the operator set in `environ` wins, then what an earlier start made, then defaults.
    """
    path = data / ENV_FILE
    kept = read_env_file(path) if path.exists() else _new_secrets()
    settings = {
        **kept,
        **_defaults(data, host=host, port=port, plc_port=plc_port),
        **{name: value for name, value in environ.items() if name.startswith(("PDS_", "LOG_"))},
    }
    _write(path, settings)
    return settings


def _new_secrets() -> dict[str, str]:
    return {
        "PDS_JWT_SECRET": secrets.token_hex(32),
        "PDS_ADMIN_PASSWORD": secrets.token_hex(16),
        # Any 32 bytes below the order of the curve are a key; all that start with 0 are.
        "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "00" + secrets.token_hex(31),
    }


def _defaults(data: Path, *, host: str, port: int, plc_port: int) -> dict[str, str]:
    return {
        "PDS_HOST": host,
        "PDS_PORT": str(port),
        "PDS_HOSTNAME": "localhost",
        "PDS_DATA_DIRECTORY": str(data.resolve()),
        "PDS_BLOBSTORE_DISK_LOCATION": str((data / "blobs").resolve()),
        "PDS_BLOB_UPLOAD_LIMIT": str(50 * 1024 * 1024),
        "PDS_DID_PLC_URL": f"http://localhost:{plc_port}",
        "PDS_SERVICE_HANDLE_DOMAINS": ".test",
        "PDS_INVITE_REQUIRED": "false",
        "PDS_DEV_MODE": "true",
    }


def _write(path: Path, settings: Mapping[str, str]) -> None:
    lines = "".join(f"{name}={value}\n" for name, value in sorted(settings.items()))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_HEADER + lines)
