"""Settings under names that they had before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pds.config.settings import Settings


def find_old_names(settings: Settings) -> list[str]:
    """What to do about each old name that is set, as `find_problems` says it."""
    if settings.service.host is None:
        return []
    if _is_url(settings.service.host):
        return ["PDS_HOST is a URL and has no effect: set PDS_BIND_ADDRESS to the address to bind"]
    return ["PDS_HOST is the old name of PDS_BIND_ADDRESS: set that, and unset PDS_HOST"]


def address_by_old_name(host: str | None) -> str:
    """The address to bind by PDS_HOST; empty for none."""
    return "" if host is None or _is_url(host) else host


def _is_url(text: str) -> bool:
    """Whether the text is no address: goat has the URL of a PDS in PDS_HOST."""
    return "://" in text
