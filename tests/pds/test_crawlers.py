"""Telling relays of new events: when, whom, and that nobody waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from identity.http import SafeHttp
from pds import crawlers
from pds.context import open_app_context
from pds.crawlers import Announcement, Crawlers, CrawlNotRequested, request_crawl
from pds.recovery.start import recover
from repo.syntax import Did
from sequencer.events import IdentityEvent
from tests.pds.config.test_settings import settings_with
from tests.pds.conftest import start_pds
from tests.pds.relays import Relay
from tests.processes import free_port

US = "pds.example.com"
FAILS = "a relay cannot be notified of new events"
WORKS = "a relay is notified of new events again"

Follow = Callable[..., Crawlers]


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with Relay() as relay:
        yield relay


@pytest.fixture
async def http() -> AsyncIterator[SafeHttp]:
    # Private addresses are refused: those that the operator names are reached all the same.
    async with SafeHttp() as http:
        yield http


@pytest.fixture
async def follow(http: SafeHttp) -> AsyncIterator[Follow]:
    """Makes `Crawlers` that end with the test."""
    async with AsyncExitStack() as stack:

        def make(*urls: str, host: str = US, interval_s: float = 3600) -> Crawlers:
            made = Crawlers(urls, host=host, http=http, interval_s=interval_s)
            stack.push_async_callback(made.close)
            return made

        yield make


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as logs:
        yield logs


async def told_again(crawlers: Crawlers, relay: Relay) -> None:
    """Let there be an event, and wait until the relay's answer has been taken."""
    crawlers.notify_soon()
    await relay.asked.get()
    await asyncio.gather(*crawlers._telling)


# --- When


async def test_the_first_event_is_told_at_once_and_others_wait(
    follow: Follow, relay: Relay
) -> None:
    following = follow(relay.url)
    for _ in range(3):
        following.notify_soon()
    assert await relay.asked.get() == {"hostname": US}
    for _ in range(3):
        following.notify_soon()
    await asyncio.gather(*following._telling)
    assert relay.asked.empty()


async def test_events_of_the_quiet_time_are_told_at_its_end(follow: Follow, relay: Relay) -> None:
    following = follow(relay.url, interval_s=0.05)
    begun = time.monotonic()
    following.notify_soon()
    await relay.asked.get()
    for _ in range(3):
        following.notify_soon()
    await relay.asked.get()
    assert time.monotonic() - begun > 0.045
    await asyncio.gather(*following._telling)
    assert relay.asked.empty()
    assert following._due is None, "nothing is told without an event"


async def test_every_relay_is_told_though_another_fails(
    follow: Follow, relay: Relay, logs: list[EventDict]
) -> None:
    async with Relay() as other:
        following = follow(f"http://127.0.0.1:{free_port()}", relay.url, other.url)
        following.notify_soon()
        assert await relay.asked.get() == await other.asked.get() == {"hostname": US}


# --- Failures


async def test_a_failing_relay_is_logged_once_until_it_answers(
    follow: Follow, relay: Relay, logs: list[EventDict]
) -> None:
    following = follow(relay.url, interval_s=0.01)
    relay.status, relay.answer = 400, {"error": "HostBanned", "message": "Not you"}
    for _ in range(3):
        await told_again(following, relay)
    relay.status = 200
    for _ in range(2):
        await told_again(following, relay)
    relay.status = 503
    await told_again(following, relay)
    assert [log["event"] for log in logs] == [FAILS, WORKS, FAILS]
    assert logs[0]["relay"] == relay.url
    assert logs[0]["reason"] == "HostBanned: Not you"


async def test_a_relay_that_does_not_answer_is_given_up(
    follow: Follow, relay: Relay, logs: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawlers, "_ANSWER_MS", 50)
    relay.may_answer.clear()
    await told_again(follow(relay.url), relay)
    assert [(log["event"], "no answer" in log["reason"]) for log in logs] == [(FAILS, True)]


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (403, {"error": "HostBanned", "message": "Not you"}, "HostBanned: Not you"),
        (500, {}, "status 500"),
        (404, ["error"], "status 404"),
        (400, {"error": "x" * 1000, "message": ""}, "x" * 300),
    ],
)
async def test_the_reason_of_a_refusal_is_told(
    relay: Relay, http: SafeHttp, status: int, answer: object, reason: str
) -> None:
    relay.status, relay.answer = status, answer
    with pytest.raises(CrawlNotRequested) as refused:
        await request_crawl(http, relay.url, host=US)
    assert str(refused.value) == reason


# --- Nobody waits


async def test_the_end_does_not_wait_for_a_relay(follow: Follow, relay: Relay) -> None:
    relay.may_answer.clear()
    following = follow(relay.url, interval_s=0.01)
    following.notify_soon()
    await relay.asked.get()
    following.notify_soon()
    async with asyncio.timeout(crawlers._ANSWER_MS / 2000):
        await following.close()
    following.notify_soon()
    assert following._due is None or following._due.cancelled()
    assert not following._telling


async def test_writers_do_not_wait_for_a_relay(tmp_path: Path, relay: Relay) -> None:
    relay.may_answer.clear()
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, {"PDS_CRAWLERS": relay.url})
        alice = await pds.create_account("alice")
        await relay.asked.get()
        await pds.post_text(alice)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert relay.asked.empty()


# --- The server


async def test_a_server_tells_its_relays_of_its_first_event(tmp_path: Path, relay: Relay) -> None:
    async with Relay() as other, AsyncExitStack() as stack:
        environ = {
            "PDS_CRAWLERS": f"{relay.url}/, {other.url}",
            "PDS_HOSTNAME": US,
            "PDS_SERVICE_HANDLE_DOMAINS": ".test",
        }
        pds = await start_pds(stack, tmp_path, environ)
        await pds.get("com.atproto.server.describeServer")
        assert relay.asked.empty()
        await pds.create_account("alice")
        assert await relay.asked.get() == await other.asked.get() == {"hostname": US}


async def test_on_localhost_only_relays_of_this_machine_are_told(
    tmp_path: Path, relay: Relay, follow: Follow
) -> None:
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, {"PDS_CRAWLERS": relay.url, "PDS_PORT": "2583"})
        await pds.create_account("alice")
        assert await relay.asked.get() == {"hostname": "localhost:2583"}
    elsewhere = follow("https://bsky.network", "http://10.0.0.1", host="localhost:2583")
    elsewhere.notify_soon()
    assert elsewhere._due is None


async def test_changes_without_a_server_are_not_told(tmp_path: Path, relay: Relay) -> None:
    """As those of a command on the files of a stopped server, which no relay could reach."""
    environ = {
        "PDS_CRAWLERS": relay.url,
        "PDS_DATA_DIRECTORY": str(tmp_path),
        "PDS_BLOBSTORE_DISK_LOCATION": str(tmp_path / "blobs"),
    }
    ctx = await open_app_context(settings_with(**environ), recover)
    await ctx.sequencer.append(IdentityEvent(Did("did:web:alice.test")))
    assert (ctx.crawlers._due, ctx.crawlers._telling) == (None, set())
    await ctx.close()
    assert relay.asked.empty()


async def test_an_announcement_is_repeated_until_each_has_accepted_it(
    http: SafeHttp, relay: Relay
) -> None:
    relay.status, relay.answer = 503, {"error": "Busy", "message": "later"}
    async with Relay() as other:
        urls = (relay.url, other.url, other.url)
        announcement = Announcement(urls, host=US, http=http, delays_s=(0.0, 0.001))
        with capture_logs() as logs:
            announcement.start()
            for _ in range(3):
                assert await asyncio.wait_for(relay.asked.get(), 5) == {"hostname": US}
            relay.status = 200
            await _all_have_agreed(announcement)
            assert other.asked.qsize() == 1
            assert relay.asked.qsize() <= 1
            await announcement.close()
    failed = [line for line in logs if line["log_level"] == "warning"]
    assert {line["service"] for line in failed} == {relay.url}
    assert failed[0]["reason"] == "Busy: later"


async def test_an_announcement_of_localhost_goes_to_this_machine_only(
    http: SafeHttp, relay: Relay
) -> None:
    urls = (relay.url, "https://relay.example.com")
    announcement = Announcement(urls, host="localhost:2583", http=http)
    with capture_logs() as logs:
        announcement.start()
        assert await asyncio.wait_for(relay.asked.get(), 5) == {"hostname": "localhost:2583"}
        await _all_have_agreed(announcement)
        await announcement.close()
    assert [line["service"] for line in logs] == [relay.url]


async def _all_have_agreed(announcement: Announcement) -> None:
    await asyncio.wait_for(asyncio.gather(*announcement._tasks), 5)
