"""The settings file of a new hold: what is missing in it is added, and nothing else is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from database.files import replacing
from pds.config.env_file import new_secrets
from pds.config.hold.secrets_file import find_hold_env, make_hold_env

_HEADER: Final = (
    "# Settings of a hold, for pds serve. It has secrets: keep it, and keep it private.\n"
)
_PLAIN: Final = re.compile(r"[\w@%+=:,./-]*", re.ASCII)
"""Values that a shell reads as they stand."""


def hold_variables(
    *, owner: str, public_url: str, public: str, allow_all_crew: str, data: Path
) -> dict[str, str]:
    """Return the variables of a hold that its operator has chosen."""
    return {
        "PDS_HOLD_ENABLED": "true",
        "PDS_HOLD_OWNER": owner,
        "PDS_HOLD_PUBLIC_URL": public_url,
        "PDS_HOLD_PUBLIC": public,
        "PDS_HOLD_ALLOW_ALL_CREW": allow_all_crew,
        "PDS_HOSTNAME": urlsplit(public_url).hostname or "",
        "PDS_DATA_DIRECTORY": str(data),
    }


def missing_variables(values: Mapping[str, str], data: Path) -> dict[str, str]:
    """Return what else a server needs and `values` lack: a place for bytes, and secrets."""
    made = {**new_secrets(), **find_hold_env(values), **make_hold_env(values)}
    if not values.get("PDS_BLOBSTORE_S3_BUCKET"):
        made["PDS_BLOBSTORE_DISK_LOCATION"] = str(data / "blobs")
    return {name: value for name, value in made.items() if not values.get(name)}


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """Return the text of a settings file with `variables` set: in their lines, or at the end.

    Of a variable that is set twice, both lines are changed, since the last one counts.
    """
    lines, left = (text or _HEADER).splitlines(), dict(variables)
    for number, line in enumerate(lines):
        name = line.strip().removeprefix("export ").partition("=")[0].strip()
        if "=" in line and name in variables:
            lines[number] = _assignment(name, variables[name])
            left.pop(name, None)
    return "\n".join([*lines, *(_assignment(name, value) for name, value in left.items())]) + "\n"


def write_settings(path: Path, text: str) -> None:
    """Replace the file, readable only by its owner. A crash leaves the old or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = path.stat() if path.exists() else None
    with replacing(path, mode=0o600) as file:
        if before is not None and os.geteuid() == 0:
            # Root edits it, but the server's user reads it.
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
        file.write(text.encode())


def _assignment(name: str, value: str) -> str:
    """Return the line that sets a variable, quoted where a shell or systemd wants that."""
    return f"{name}={value}" if _PLAIN.fullmatch(value) else f"{name}='{value}'"
