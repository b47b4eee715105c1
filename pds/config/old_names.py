"""Settings under names that they had before."""

from __future__ import annotations

from pds.config.addresses import is_url
from pds.config.settings import Settings


def find_old_names(settings: Settings) -> list[str]:
    """What to do about each old name that is set, as `find_problems` says it."""
    if settings.service.host is None:
        return []
    if is_url(settings.service.host):
        return ["PDS_HOST is a URL and has no effect: set PDS_BIND_ADDRESS to the address to bind"]
    return ["PDS_HOST is the old name of PDS_BIND_ADDRESS: set that, and unset PDS_HOST"]
