"""Variables whose names are not settings, usually misspelt, or have been replaced."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from pds.config.addresses import is_url
from pds.config.env_file import VARIABLE as ENV_FILE
from pds.config.environ import fields_of, variable_of
from pds.config.settings import Settings

_LIKENESS: Final = 0.8


def find_unknown(environ: Mapping[str, str]) -> list[str]:
    """Return a message for each variable `PDS_…` that is not a setting."""
    known = {variable_of(field) for field in fields_of(Settings)}
    unknown = {name for name in environ if name.startswith("PDS_")} - known - {ENV_FILE}
    return [f"{name} is not a setting: {_remedy(name, known)}" for name in sorted(unknown)]


def find_old_names(settings: Settings) -> list[str]:
    """Return a message, as `find_problems` does, for each old name that is set."""
    if settings.service.host is None:
        return []
    if is_url(settings.service.host):
        return ["PDS_HOST is a URL and has no effect: set PDS_BIND_ADDRESS to the address to bind"]
    return ["PDS_HOST is the old name of PDS_BIND_ADDRESS: set that, and unset PDS_HOST"]


def _remedy(name: str, known: set[str]) -> str:
    alike = get_close_matches(name, sorted(known), n=1, cutoff=_LIKENESS)
    meant = f"did you mean {alike[0]}? Else " if alike else ""
    return f"{meant}unset it, or see docs/configuration.md"
