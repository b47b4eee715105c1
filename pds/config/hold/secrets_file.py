"""`hold.env`: the secrets of a server that is only a hold, made at its first start.

Such a server has no accounts whose operator would have set up secrets, and needs them all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pds.config.env_file import SECRETS, new_secrets, read_env_file, write_env_file
from pds.config.reading import read_unchecked

HOLD_ENV: Final = "hold.env"
_ONLY: Final = "PDS_HOLD_ONLY"
_HEADER: Final = """\
# Written by Holdfast at the first start of a server that is only a hold. Keep it with the data.
# A variable in the environment wins over one in this file.
"""


def find_hold_env(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what `hold.env` in the data directory sets and `environ` does not.

    Empty for a server that is no hold. Raises `OSError`, and `ConfigError` for a file that is not
    text.
    """
    path = _path(environ)
    if path is None or not path.is_file():
        return {}
    kept = read_env_file(path)
    return {name: value for name, value in kept.items() if not environ.get(name)}


def make_hold_env(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a server with `environ` needs for being only a hold.

    If `environ` enables the hold and has no secrets, these are all three; if it says that the
    server is only a hold, those that are missing. Empty for every other server.
    """
    if _path(environ) is None:
        return {}
    missing = [name for name in SECRETS if not environ.get(name)]
    if not missing or (len(missing) < len(SECRETS) and not environ.get(_ONLY)):
        return {}
    fresh = new_secrets()
    return {_ONLY: environ.get(_ONLY) or "true", **{name: fresh[name] for name in missing}}


def keep_hold_env(data: Path, made: Mapping[str, str]) -> None:
    """Add what `make_hold_env` has made to `hold.env`. Raises `OSError`."""
    path = data / HOLD_ENV
    kept = read_env_file(path) if path.is_file() else {}
    write_env_file(path, {**kept, **made}, header=_HEADER)


def _path(environ: Mapping[str, str]) -> Path | None:
    """Return where the file of a hold is; None for a server that is no hold."""
    settings, _ = read_unchecked(environ)
    return settings.data_directory / HOLD_ENV if settings.hold.enabled else None
