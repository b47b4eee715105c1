from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from identity.handles import HandleResolver, HandleUnresolvable, did_of_txt_records
from identity.http import SafeHttp
from repo.syntax import Handle
from tests.identity.conftest import DnsServer, Hang, WebHost

_HANDLE = Handle("alice.test")
_NAME = "_atproto.alice.test"
_DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
_OTHER = "did:web:other.example.com"
_PAGE = "/.well-known/atproto-did"


class NamesOf(AbstractResolver):
    """Finds every host at the test's own web server."""

    def __init__(self, host: WebHost | None) -> None:
        self.host = host

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        if self.host is None:
            raise OSError("unknown host")
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=self.host.port, family=2, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


class Network:
    """A handle resolver in a world of two name servers and one web host."""

    def __init__(self, dns: DnsServer, backup: DnsServer, host: WebHost) -> None:
        self.dns, self.backup, self.host = dns, backup, host

    async def resolve(
        self,
        handle: Handle = _HANDLE,
        *,
        use_backup: bool = False,
        web_is_up: bool = True,
        timeout_ms: int = 5_000,
    ) -> str | None:
        names = NamesOf(self.host if web_is_up else None)
        async with SafeHttp(allow_private=True, resolver=names, timeout_ms=timeout_ms) as http:
            resolver = HandleResolver(
                http,
                timeout_ms=timeout_ms,
                nameservers=[self.dns.address],
                backup_nameservers=[self.backup.address] if use_backup else [],
                scheme="http",
            )
            return await resolver.resolve(handle)

    async def claims(self, *, web_is_up: bool = True) -> list[tuple[str | None, str]]:
        """What DNS and the web host say."""
        names = NamesOf(self.host if web_is_up else None)
        async with SafeHttp(allow_private=True, resolver=names, timeout_ms=5_000) as http:
            resolver = HandleResolver(http, nameservers=[self.dns.address], scheme="http")
            return [(claim.did, claim.failure) for claim in await resolver.claims(_HANDLE)]


@pytest.fixture
def network(dns_server: DnsServer, backup_dns_server: DnsServer, web_host: WebHost) -> Network:
    return Network(dns_server, backup_dns_server, web_host)


async def test_a_txt_record_names_the_did(network: Network) -> None:
    network.dns.txt[_NAME] = ["v=spf1 -all", f"did={_DID}"]
    assert await network.resolve() == _DID


async def test_a_well_known_page_names_the_did(network: Network) -> None:
    network.host.answer(_PAGE, f"{_DID}\n")
    assert await network.resolve() == _DID


async def test_dns_wins_over_the_page(network: Network) -> None:
    network.dns.txt[_NAME] = [f"did={_DID}"]
    network.host.answer(_PAGE, _OTHER)
    assert await network.resolve() == _DID


async def test_dns_does_not_wait_for_a_hanging_page(network: Network) -> None:
    hang = Hang()
    network.host.pages[_PAGE] = hang
    network.dns.txt[_NAME] = [f"did={_DID}"]
    assert await network.resolve() == _DID
    hang.release.set()


async def test_the_page_is_used_when_dns_names_nothing_useful(network: Network) -> None:
    network.host.answer(_PAGE, _OTHER)
    for records in ([], ["hello"], [f"did={_DID}", f"did={_OTHER}"], ["did=nonsense"]):
        network.dns.txt[_NAME] = records
        assert await network.resolve() == _OTHER


async def test_the_page_is_used_when_dns_fails(network: Network) -> None:
    network.dns.broken.add(_NAME)
    network.host.answer(_PAGE, _DID)
    assert await network.resolve() == _DID


async def test_a_handle_that_points_nowhere_has_no_did(network: Network) -> None:
    assert await network.resolve() is None
    assert await network.resolve(web_is_up=False) is None


@pytest.mark.parametrize(
    "body", ["", "<html></html>", "did:plc", f"\n{_DID}", b"\xff\xff", "x" * 5_000]
)
async def test_pages_with_something_else_name_no_did(network: Network, body: str | bytes) -> None:
    network.host.answer(_PAGE, body)
    assert await network.resolve() is None


async def test_the_page_may_redirect(network: Network) -> None:
    network.host.redirect(_PAGE, "http://www.alice.test/did.txt")
    network.host.answer("/did.txt", _DID)
    assert await network.resolve() == _DID


async def test_the_page_is_asked_for_by_the_handle_s_name(network: Network) -> None:
    hosts: list[str] = []

    async def page(request: web.Request) -> web.Response:
        hosts.append(request.host)
        return web.Response(text=_DID)

    network.host.pages[_PAGE] = page
    await network.resolve()
    assert hosts == ["alice.test"]


async def test_backup_nameservers_are_asked_last(network: Network) -> None:
    network.backup.txt[_NAME] = [f"did={_DID}"]
    assert await network.resolve(use_backup=True) == _DID
    network.host.answer(_PAGE, _OTHER)
    assert await network.resolve(use_backup=True) == _OTHER
    assert network.backup.queries == [_NAME]


async def test_backup_nameservers_help_when_everything_else_fails(network: Network) -> None:
    network.dns.broken.add(_NAME)
    network.backup.txt[_NAME] = [f"did={_DID}"]
    assert await network.resolve(use_backup=True, web_is_up=False) == _DID


async def test_unresolvable_only_when_dns_and_web_both_fail(network: Network) -> None:
    network.dns.broken.add(_NAME)
    assert await network.resolve() is None  # the web host answers: 404
    with pytest.raises(HandleUnresolvable, match=r"DNS: .*; HTTPS: "):
        await network.resolve(web_is_up=False)
    with pytest.raises(HandleUnresolvable):
        await network.resolve(web_is_up=False, use_backup=True)


async def test_silence_ends_in_time(network: Network) -> None:
    hang = Hang()
    network.dns.silent = True
    network.host.pages[_PAGE] = hang
    with pytest.raises(HandleUnresolvable):
        await network.resolve(timeout_ms=100)
    hang.release.set()


async def test_a_resolution_can_be_cancelled(network: Network) -> None:
    hang = Hang()
    network.dns.silent = True
    network.host.pages[_PAGE] = hang
    task = asyncio.create_task(network.resolve())
    await hang.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hang.release.set()


@asynccontextmanager
async def remembering(network: Network) -> AsyncIterator[tuple[HandleResolver, list[float]]]:
    """A resolver for more than one question, and the clock it goes by."""
    clock = [1_000.0]
    names = NamesOf(network.host)
    async with SafeHttp(allow_private=True, resolver=names, timeout_ms=5_000) as http:
        yield (
            HandleResolver(
                http,
                nameservers=[network.dns.address],
                scheme="http",
                clock=lambda: clock[0],
            ),
            clock,
        )


async def test_it_is_remembered_for_a_while_that_a_handle_leads_nowhere(network: Network) -> None:
    async with remembering(network) as (resolver, clock):
        for _ in range(3):
            assert await resolver.resolve(_HANDLE) is None
        assert network.host.requests == [_PAGE]
        network.host.answer(_PAGE, _DID)
        clock[0] += 31
        assert await resolver.resolve(_HANDLE) == _DID


async def test_it_is_remembered_for_a_while_that_nobody_says(network: Network) -> None:
    network.dns.broken.add(_NAME)
    hang = Hang()
    network.host.pages[_PAGE] = hang
    names = NamesOf(None)
    async with SafeHttp(allow_private=True, resolver=names) as http:
        resolver = HandleResolver(http, nameservers=[network.dns.address], scheme="http")
        for _ in range(3):
            with pytest.raises(HandleUnresolvable, match=r"DNS: .*; HTTPS: "):
                await resolver.resolve(_HANDLE)
    assert network.dns.queries == [_NAME]


async def test_a_handle_that_has_just_been_set_up_is_found_when_that_is_asked(
    network: Network,
) -> None:
    async with remembering(network) as (resolver, _):
        assert await resolver.resolve(_HANDLE) is None
        network.dns.txt[_NAME] = [f"did={_DID}"]
        assert await resolver.resolve(_HANDLE) is None
        assert await resolver.resolve(_HANDLE, fresh=True) == _DID
        # From then on by everybody.
        assert await resolver.resolve(_HANDLE) == _DID


async def test_nameservers_that_do_not_exist_fail_like_silent_ones(web_host: WebHost) -> None:
    async with SafeHttp(allow_private=True, resolver=NamesOf(web_host)) as http:
        resolver = HandleResolver(
            http, nameservers=["256.256.256.256", "127.0.0.1:http:x"], scheme="http"
        )
        web_host.answer(_PAGE, _DID)
        assert await resolver.resolve(_HANDLE) == _DID


@pytest.mark.parametrize(
    ("records", "did"),
    [
        ([], None),
        ([b"did="], None),
        ([b"DID=" + _DID.encode()], None),
        ([b"did=" + _DID.encode()], _DID),
        ([b"did=" + _DID.encode() + b" "], _DID),
        ([b"did=" + _DID.encode(), b"did=" + _DID.encode()], _DID),
        ([b"did=" + _DID.encode(), b"did=" + _OTHER.encode()], None),
        ([b"did=\xff"], None),
        ([b"x" * 10_000, b"did=" + _DID.encode()], _DID),
    ],
)
def test_txt_records_name_one_did_or_none(records: list[bytes], did: str | None) -> None:
    assert did_of_txt_records(records) == did


async def test_each_method_is_told_by_itself_to_whoever_sets_a_domain_up(network: Network) -> None:
    assert await network.claims() == [(None, ""), (None, "")]
    network.dns.txt[_NAME] = [f"did={_DID}"]
    found, (nothing, failure) = await network.claims(web_is_up=False)
    assert found == (_DID, "")
    assert nothing is None
    assert failure.startswith("HTTPS: ")
