"""All checks that use the network, run concurrently."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from identity.did_cache import DidCache
from identity.http import SafeHttp
from identity.plc import PlcClient
from identity.resolver import DidResolver
from pds.config import Settings
from pds.doctor import network
from pds.doctor.finding import Finding
from pds.doctor.identities import CHECK as IDENTITY
from pds.doctor.identities import Expected, check_identities, choose, network_lookup
from pds.reporting import Progress
from repo.keys import InvalidKey, K256PrivateKey

_TIMEOUT_MS: Final = 10_000
"""Longer than the server's own timeout: a slow answer is not a wrong one."""


def check_surroundings(
    settings: Settings, accounts: Sequence[Expected], *, everyone: bool, progress: Progress
) -> list[Finding]:
    """Check the network around the server, and the DIDs of some accounts, or of `everyone`."""
    return asyncio.run(_check(settings, accounts, everyone=everyone, progress=progress))


async def _check(
    settings: Settings, accounts: Sequence[Expected], *, everyone: bool, progress: Progress
) -> list[Finding]:
    async with AsyncExitStack() as stack:
        http = SafeHttp(allow_private=not settings.ssrf_protection, timeout_ms=_TIMEOUT_MS)
        stack.push_async_callback(http.close)
        plc_url = settings.identity.plc_url
        plc, others = await asyncio.gather(
            network.check_plc(http, plc_url, now=datetime.now(UTC)),
            asyncio.gather(
                _check_host(settings), _check_entryway(settings, http), *_mail_checks(settings)
            ),
        )
        findings = [*plc, *chain.from_iterable(others)]
        if not accounts:
            return findings
        if plc[0].is_problem:
            message = "not looked up, as the PLC directory does not answer"
            return [*findings, Finding.skipped(IDENTITY, "accounts", message)]
        resolver = _resolver(settings, http, stack)
        return findings + await check_identities(
            choose(accounts, everyone=everyone),
            total=len(accounts),
            lookup=network_lookup(PlcClient(plc_url, http), resolver),
            public_url=settings.public_url,
            rotation_key=_rotation_key(settings),
            on_progress=lambda done, total: progress("identities", done, total),
        )


async def _check_host(settings: Settings) -> list[Finding]:
    hostname = settings.hostname
    if hostname == "localhost":
        return [Finding.skipped(network.HOSTNAME, hostname, "DNS and TLS are not for it")]
    found = await network.check_hostname(hostname)
    if found.status == "error":
        # All further faults would follow from it.
        return [found]
    domains = settings.service_handle_domains
    others = await asyncio.gather(
        network.check_certificate(hostname, now=datetime.now(UTC)),
        *(network.check_handle_dns(domain) for domain in domains),
    )
    return [found, *others]


async def _check_entryway(settings: Settings, http: SafeHttp) -> list[Finding]:
    entryway = settings.entryway_service
    return [] if entryway is None else [await network.check_entryway(http, entryway.url)]


def _mail_checks(settings: Settings) -> Iterator[Coroutine[Any, Any, list[Finding]]]:
    async def check(setting: str, url: str) -> list[Finding]:
        return [await network.check_smtp(setting, url)]

    for setting, url in (
        ("PDS_EMAIL_SMTP_URL", settings.email.smtp_url),
        ("PDS_MODERATION_EMAIL_SMTP_URL", settings.email.moderation_smtp_url),
    ):
        if url:
            yield check(setting, url)


def _resolver(settings: Settings, http: SafeHttp, stack: AsyncExitStack) -> DidResolver:
    """Return a resolver with an empty cache: the server's may be old, and is not ours."""
    directory = stack.enter_context(TemporaryDirectory(prefix="holdfast-doctor-"))
    cache = DidCache.open(Path(directory) / "did_cache.sqlite")
    stack.callback(cache.close)
    resolver = DidResolver(cache, http, plc_url=settings.identity.plc_url)
    stack.push_async_callback(resolver.close)
    return resolver


def _rotation_key(settings: Settings) -> str | None:
    if settings.entryway.plc_rotation_key:
        return settings.entryway.plc_rotation_key
    try:
        return K256PrivateKey.from_bytes(settings.plc_rotation_key).did_key
    except (InvalidKey, ValueError):
        return None  # The setting has a finding of its own.
