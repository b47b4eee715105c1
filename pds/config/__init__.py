"""Settings of the server, read from the environment variables of the reference PDS."""

from pds.config.errors import ConfigError
from pds.config.reading import read_settings
from pds.config.settings import Settings
from pds.config.weak_secrets import find_weak_secrets
from pds.config.without_effect import find_without_effect
from pds.config.wrong_names import find_old_names, find_unknown

__all__ = [
    "ConfigError",
    "Settings",
    "find_old_names",
    "find_unknown",
    "find_weak_secrets",
    "find_without_effect",
    "read_settings",
]
