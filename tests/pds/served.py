"""Settings for tests that run the whole of `pds.server.run.serve` within their own process."""

from __future__ import annotations

from pathlib import Path

from pds.config import Settings, read_settings
from tests.processes import free_port


def settings_on(data: Path, **more: str) -> Settings:
    """Settings of a server on the directory `data` and a free port of loopback."""
    return read_settings(
        {
            "PDS_HOSTNAME": "localhost",
            "PDS_BIND_ADDRESS": "127.0.0.1",
            "PDS_PORT": str(free_port()),
            "PDS_DATA_DIRECTORY": str(data),
            "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
            "PDS_JWT_SECRET": "jwt-secret",
            "PDS_ADMIN_PASSWORD": "admin-pass",
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
            "PDS_DEV_MODE": "true",
            **more,
        }
    )
