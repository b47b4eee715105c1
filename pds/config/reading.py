"""Reading `Settings` from environment variables, and refusing those that cannot work."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pds.config.checks import find_problems
from pds.config.environ import EnvironSource, find_unreadable
from pds.config.errors import ConfigError
from pds.config.settings import Settings


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check settings from `environ`, by default the process's environment.

    Raises `ConfigError` with every problem found.
    """
    settings, problems = read_unchecked(os.environ if environ is None else environ)
    if problems:
        raise ConfigError(problems)
    return settings


def read_unchecked(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Read settings that may not work, with every problem found."""
    settings = Settings(**EnvironSource(Settings, environ)())
    return settings, [*find_unreadable(environ, Settings), *find_problems(settings)]
