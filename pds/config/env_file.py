"""Environment files: `NAME=value` lines, as in the reference PDS's `pds.env`, and their paths."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

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


def _unquoted(value: str) -> str:
    """Remove the pair of quotes around a value; quotes inside belong to it."""
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
