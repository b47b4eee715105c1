"""Reading `Settings` from environment variables, and rejecting those that cannot work."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pds.config.checks import find_problems
from pds.config.environ import EnvironSource, find_unreadable
from pds.config.errors import ConfigError
from pds.config.hold.original_names import translate_hold_names
from pds.config.settings import Settings


def read_settings(
    environ: Mapping[str, str] | None = None, *, reads_only: bool = False
) -> Settings:
    """Read and check settings from `environ`, by default the process's environment.

    With `reads_only`, no secrets are required. Raises `ConfigError` with every problem found.
    """
    variables = os.environ if environ is None else environ
    settings, problems = read_unchecked(variables, reads_only=reads_only)
    if problems:
        raise ConfigError(problems)
    return settings


def read_unchecked(
    environ: Mapping[str, str], *, reads_only: bool = False
) -> tuple[Settings, list[str]]:
    """Read settings that may be unusable, and return them with every problem found.

    The names of the original ATCR hold are understood: see `translate_hold_names`.
    """
    original = translate_hold_names(environ)
    variables = {**environ, **original.values}
    settings = Settings(**EnvironSource(Settings, variables)())
    return settings, [
        *original.problems,
        *find_unreadable(variables, Settings),
        *find_problems(settings, reads_only=reads_only),
    ]
