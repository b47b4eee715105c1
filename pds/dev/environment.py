"""The environment of `pds dev`: secrets created once and kept beside the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pds.config.env_file import new_secrets, read_env_file, write_env_file

ENV_FILE: Final = "dev.env"
_HEADER: Final = """\
# Written by `pds dev` at every start; it keeps the secrets and renews the rest.
# To change a setting, start it with that PDS_* variable in its environment.
# Secrets of a development server: not for production.
"""


def dev_environment(
    data: Path, *, host: str, port: int, plc_port: int, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the `PDS_*` variables for a development server with its files in `data`.

    What the operator set in `environ` overrides the secrets that an earlier start kept in
    `data`/dev.env, and the defaults. Raises `OSError`, `ConfigError` for an unreadable file.
    """
    path = data / ENV_FILE
    earlier = read_env_file(path) if path.exists() else {}
    defaults = _defaults(data, host=host, port=port, plc_port=plc_port)
    if environ.get("PDS_BLOBSTORE_S3_BUCKET") and not environ.get("PDS_BLOBSTORE_MOVE_TO"):
        del defaults["PDS_BLOBSTORE_DISK_LOCATION"]
    return {
        **defaults,
        **{name: earlier.get(name) or fresh for name, fresh in new_secrets().items()},
        # An empty variable counts as unset here as everywhere; it must not erase a secret.
        **{name: v for name, v in environ.items() if v and name.startswith(("PDS_", "LOG_"))},
    }


def keep_dev_environment(data: Path, variables: Mapping[str, str]) -> None:
    """Write the variables into `data`/dev.env, for commands and the next start."""
    write_env_file(data / ENV_FILE, variables, header=_HEADER)


def _defaults(data: Path, *, host: str, port: int, plc_port: int) -> dict[str, str]:
    return {
        "PDS_BIND_ADDRESS": host,
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
