"""`pds request-crawl`: asks relays, and says how each answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from click.testing import CliRunner, Result

from pds.cli import main
from tests.pds.config.test_settings import WORKING
from tests.pds.relays import Relay
from tests.processes import free_port


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay() as relay:
        yield relay


async def ask(*hosts: str, **environ: str) -> Result:
    """Run the command beside the relay."""
    words = ["request-crawl", *hosts]
    return await asyncio.to_thread(CliRunner().invoke, main, words, env=WORKING | environ)


async def test_the_relays_of_the_settings_are_asked(relay: Relay) -> None:
    done = await ask(PDS_CRAWLERS=relay.url)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{relay.url} was asked to follow pds.example.com\n"
    assert relay.asked.get_nowait() == {"hostname": "pds.example.com"}
    assert relay.asked.empty()


async def test_named_relays_are_asked_instead(relay: Relay) -> None:
    async with Relay() as two, Relay() as three:
        done = await ask(f"{two.url},{three.url}/", two.url, PDS_CRAWLERS=relay.url)
        assert done.exit_code == 0
        assert (two.asked.qsize(), three.asked.qsize(), relay.asked.qsize()) == (2, 1, 0)


async def test_a_refusal_is_told_and_the_others_are_asked(relay: Relay) -> None:
    relay.status, relay.answer = 400, {"error": "HostBanned", "message": "Not you"}
    nobody = f"http://127.0.0.1:{free_port()}"
    async with Relay() as willing:
        done = await ask(nobody, relay.url, willing.url)
        assert willing.asked.qsize() == 1
        assert done.stdout == f"{willing.url} was asked to follow pds.example.com\n"
    assert done.exit_code == 1
    first, second = done.stderr.splitlines()
    assert first.startswith(f"Error: {nobody} was not asked: ")
    assert second == f"{relay.url} was not asked: HostBanned: Not you"


async def test_a_bare_host_is_reached_by_https(relay: Relay) -> None:
    done = await ask(relay.url.removeprefix("http://"))
    assert done.exit_code == 1
    assert f"Error: {relay.url.replace('http', 'https')} was not asked: " in done.stderr
    assert relay.asked.empty()


async def test_from_localhost_no_relay_elsewhere_is_asked(relay: Relay) -> None:
    local = {"PDS_HOSTNAME": "localhost", "PDS_DEV_MODE": "true", "PDS_PORT": "2583"}
    assert (await ask(relay.url, **local)).exit_code == 0
    assert relay.asked.get_nowait() == {"hostname": "localhost:2583"}
    done = await ask("relay.example", **local)
    assert done.exit_code == 1
    assert "it is not on this machine, so it cannot reach localhost:2583" in done.stderr


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ([], "No relay to ask: name one, or set PDS_CRAWLERS."),
        ([","], "No relay to ask"),
        (["ftp://relay.example"], '"ftp://relay.example" is not the URL of a server'),
    ],
)
async def test_without_a_usable_relay_the_message_says_so(hosts: list[str], message: str) -> None:
    done = await ask(*hosts)
    assert (done.exit_code, done.stdout) == (1, "")
    assert message in done.stderr
