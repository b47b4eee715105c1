"""Variables that are named like settings and are none, most of them misspelt."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from pds.config.env_file import VARIABLE as ENV_FILE
from pds.config.environ import fields_of, variable_of
from pds.config.settings import Settings

_LIKENESS: Final = 0.8


def find_unknown(environ: Mapping[str, str]) -> list[str]:
    """The variables `PDS_…` that are no settings, each with what to do about it."""
    known = {variable_of(field) for field in fields_of(Settings)}
    unknown = {name for name in environ if name.startswith("PDS_")} - known - {ENV_FILE}
    return [f"{name} is not a setting: {_remedy(name, known)}" for name in sorted(unknown)]


def _remedy(name: str, known: set[str]) -> str:
    alike = get_close_matches(name, sorted(known), n=1, cutoff=_LIKENESS)
    meant = f"did you mean {alike[0]}? Else " if alike else ""
    return f"{meant}unset it, or see docs/configuration.md"
