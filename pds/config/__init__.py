"""Settings of the server, read from the environment variables of the reference PDS."""

from pds.config.documentation import DocumentedSetting, documented_settings
from pds.config.errors import ConfigError
from pds.config.settings import Settings

__all__ = ["ConfigError", "DocumentedSetting", "Settings", "documented_settings"]
