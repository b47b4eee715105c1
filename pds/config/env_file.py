"""Environment files: `NAME=value` lines, as in the reference PDS's `pds.env`, and their paths."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from database.files import replacing
from pds.config.errors import ConfigError

VARIABLE: Final = "PDS_ENV_FILE"
"""The variable that names the file. Commands read it; it is not a setting of the server."""
IN_WORKING_DIRECTORY: Final = Path("pds.env")
USUAL_PLACES: Final = (IN_WORKING_DIRECTORY, Path("/pds/pds.env"), Path("/etc/holdfast/pds.env"))
"""Paths tried if no file is named: the working directory, and where installers put it."""
SECRETS: Final = (
    "PDS_JWT_SECRET",
    "PDS_ADMIN_PASSWORD",
    "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
)


def find_env_file(environ: Mapping[str, str], places: Iterable[Path] = USUAL_PLACES) -> Path | None:
    """Return the first file that exists in the usual places.

    None if the environment contains a secret: it is complete then, and an unrelated file must not
    add to it.
    """
    if any(environ.get(name) for name in SECRETS):
        return None
    return next((place for place in places if may_be_taken(place)), None)


def may_be_taken(place: Path) -> bool:
    """Whether a usual place has a file that no other user could have planted there."""
    try:
        status, entry = place.stat(), place.lstat()
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode):
        return False
    # Anyone may put a file into /tmp, or a link to one of our files, and root may run a command
    # in that directory.
    owners = {status.st_uid, entry.st_uid}
    is_ours = owners <= {0, os.geteuid()} and not status.st_mode & stat.S_IWOTH
    return place.is_absolute() or is_ours


def read_env_file(path: Path) -> dict[str, str]:
    """Read the variables, skipping blank lines and comments and removing quotes.

    Raises `ConfigError` for a file that is not text, `OSError` for one that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path} is not a text file in UTF-8"]) from exc
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = _unquoted(value.strip())
    return values


def write_env_file(path: Path, variables: Mapping[str, str], *, header: str) -> None:
    """Replace `path`, readable only by its owner. A crash leaves the old file or the new one.

    An identical file is left alone: the disk may be full. `header` are comments.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = "".join(f"{name}={value}\n" for name, value in sorted(variables.items()))
    if path.exists() and path.read_text("utf-8") == header + lines:
        path.chmod(0o600)
        return
    with replacing(path, mode=0o600) as file:
        file.write((header + lines).encode())


def new_secrets() -> dict[str, str]:
    """Return fresh values for all of `SECRETS`."""
    return {
        "PDS_JWT_SECRET": secrets.token_hex(32),
        "PDS_ADMIN_PASSWORD": secrets.token_hex(16),
        # Any 32 bytes below the order of the curve are a key; those that start with 0 always are.
        "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "00" + secrets.token_hex(31),
    }


def _unquoted(value: str) -> str:
    """Remove the pair of quotes around a value; quotes inside belong to it."""
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
