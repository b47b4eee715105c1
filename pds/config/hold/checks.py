"""Checks for settings of a hold that cannot work, with messages as in `pds.config.checks`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pds.config.addresses import is_http_url, parse_base_url
from pds.config.errors import ConfigError
from pds.config.hold.tiers import Tiers
from pds.config.settings import Settings
from repo.syntax import is_did

MAX_REGION: Final = 64
"""The limit of `region` in a captain record."""
_SOME_DID: Final = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
_MIN_STATS_INTERVAL_MS: Final = 100
_HOST: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?")
"""The hosts that a did:web can have, which excludes IPv6 addresses."""
_PREFIX: Final = re.compile(r"([A-Za-z0-9!_.*'()-]+/)*")


def check_hold(settings: Settings) -> Iterator[str]:
    """Yield why this server cannot be the configured hold."""
    hold = settings.hold
    if not hold.enabled:
        if hold.only:
            yield (
                "PDS_HOLD_ONLY is set, but the server is no hold: set PDS_HOLD_ENABLED=true, or "
                "unset PDS_HOLD_ONLY"
            )
        return
    for name, did in (
        ("PDS_HOLD_OWNER", hold.owner),
        ("PDS_HOLD_SUCCESSOR", hold.successor),
        ("PDS_HOLD_APPVIEW_DID", hold.appview_did),
    ):
        if did is not None and not is_did(did):
            yield f'{name} is "{did}", which is not a DID: set one such as {_SOME_DID} or unset it'
    yield from _check_urls(settings)
    if hold.region is not None and len(hold.region) > MAX_REGION:
        yield f"PDS_HOLD_REGION is longer than {MAX_REGION} characters: set a shorter one"
    if not _PREFIX.fullmatch(hold.s3_prefix) or {".", ".."} & set(hold.s3_prefix.split("/")):
        yield (
            f'PDS_HOLD_S3_PREFIX is "{hold.s3_prefix}": set one such as docker/registry/v2/, '
            "which ends with a slash and does not begin with one"
        )
    if hold.stats_interval_ms < _MIN_STATS_INTERVAL_MS:
        yield (
            f"PDS_HOLD_STATS_INTERVAL is {hold.stats_interval_ms}: set at least "
            f"{_MIN_STATS_INTERVAL_MS} milliseconds"
        )
    try:
        Tiers.parse(hold.tiers, default=hold.new_crew_tier)
    except ConfigError as exc:
        yield from exc.problems


def has_plain_host(url: str) -> bool:
    """Whether a URL has a scheme and a host that can be a did:web, and nothing else."""
    scheme, _, rest = url.partition("://")
    return scheme in ("http", "https") and bool(_HOST.fullmatch(rest)) and is_http_url(url)


def _check_urls(settings: Settings) -> Iterator[str]:
    hold = settings.hold
    if not has_plain_host(settings.hold_url):
        name = "PDS_HOLD_PUBLIC_URL" if hold.public_url else "PDS_HOSTNAME"
        yield (
            f'{name} gives the hold the URL "{settings.hold_url}", of which no did:web can be '
            "made: set PDS_HOLD_PUBLIC_URL to one such as https://hold.example.com, without a path"
        )
    for name, url in (
        ("PDS_HOLD_PROFILE_AVATAR", hold.profile_avatar_url),
        ("PDS_HOLD_CDN_URL", hold.cdn_url),
    ):
        if url is not None and not is_http_url(url):
            yield f'{name} is "{url}": set a URL that starts with https:// or http://'
    for url in hold.discovery_urls:
        try:
            parse_base_url(url)
        except ValueError:
            yield (
                f'PDS_HOLD_DISCOVERY_URLS has "{url}": set the base URLs of discovery services, '
                "such as https://discovery.example.com, separated by commas"
            )
