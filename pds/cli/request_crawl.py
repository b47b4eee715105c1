"""`pds request-crawl`: asking relays to follow the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.failures import CommandFailed
from pds.cli.output import say
from pds.config import Settings
from pds.config.addresses import parse_base_url
from pds.reporting import printable


@click.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@env_file_option
@explain_failures
def request_crawl(hosts: tuple[str, ...], env_file: Path | None) -> None:
    """Ask relays to follow this server.

    Without a HOST, it asks the relays of PDS_CRAWLERS. A running server asks them by itself as soon
    as something happens on it. Relays must be able to reach the server by its public name.

    \b
    Examples:
      pds request-crawl --env-file /pds/pds.env
      pds request-crawl bsky.network relay.example.com
    """
    settings = load_settings(env_file)
    relays = _relays(hosts) or settings.crawlers
    if not relays:
        raise CommandFailed(
            "No relay to ask: name one, or set PDS_CRAWLERS.",
            remedy="pds request-crawl bsky.network",
        )
    asyncio.run(_ask(settings, relays))


def _relays(hosts: Sequence[str]) -> tuple[str, ...]:
    """Return the base URLs of the named hosts; commas separate them too, as in PDS_CRAWLERS."""
    try:
        return tuple(parse_base_url(host) for word in hosts for host in word.split(",") if host)
    except ValueError as exc:
        raise CommandFailed(f"{exc}: name a host, such as bsky.network.") from exc


async def _ask(settings: Settings, relays: Sequence[str]) -> None:
    """Ask every relay and print each answer. Raises `CommandFailed` if one refused."""
    from identity.http import SafeHttp
    from pds import crawlers

    host, failures = settings.public_host, []
    async with SafeHttp() as http:
        for relay in relays:
            try:
                await crawlers.request_crawl(http, relay, host=host)
            except crawlers.CrawlNotRequested as exc:
                failures.append(printable(f"{relay} was not asked: {exc}"))
            else:
                say(f"{relay} was asked to follow {host}")
    if failures:
        raise CommandFailed("\n".join(failures))
