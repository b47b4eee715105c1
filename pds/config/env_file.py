"""Environment files: `NAME=value` lines, as the reference PDS's `pds.env`, and where they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pds.config.errors import ConfigError

VARIABLE: Final = "PDS_ENV_FILE"
"""Names the file. It is read by commands, and is no setting of the server."""
IN_WORKING_DIRECTORY: Final = Path("pds.env")
USUAL_PLACES: Final = (IN_WORKING_DIRECTORY, Path("/pds/pds.env"), Path("/etc/holdfast/pds.env"))
"""Where a file is looked for that nobody has named: here, and where installers put it."""
SECRETS: Final = (
    "PDS_JWT_SECRET",
    "PDS_ADMIN_PASSWORD",
    "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
)


def find_env_file(environ: Mapping[str, str], places: Iterable[Path] = USUAL_PLACES) -> Path | None:
    """The first file in the usual places.

    None if the environment has a secret: then it was set up as a whole, and a file that happens to
    be there must not add to it.
    """
    if any(environ.get(name) for name in SECRETS):
        return None
    return next((place for place in places if may_be_taken(place)), None)


def may_be_taken(place: Path) -> bool:
    """Whether there is a file at a usual place, and nobody could have left it there as a trap."""
    try:
        status, entry = place.stat(), place.lstat()
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode):
        return False
    # Anybody may put a file into /tmp, or a link to one of ours, and root may well give a command
    # there.
    owners = {status.st_uid, entry.st_uid}
    is_ours = owners <= {0, os.geteuid()} and not status.st_mode & stat.S_IWOTH
    return place.is_absolute() or is_ours


def read_env_file(path: Path) -> dict[str, str]:
    """Read the variables; blank lines and comments are skipped, quotes are taken off.

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
    """Without the pair of quotes around it; those inside are the value's own."""
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value
