"""Whose request it is: what is believed of X-Forwarded-For, and how clients are told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict

from pds.monitoring.requests.client_address import FORWARDED_FOR, ClientAddress, ClientAddresses
from tests.pds.config.test_settings import settings_with


class Site:
    """A server that notes whose request it was. The proxies in `trusted` are its own."""

    def __init__(self, *trusted: str, host: str = "127.0.0.1") -> None:
        networks = settings_with(
            PDS_RATE_LIMITS_ENABLED="true", PDS_RATE_LIMIT_BYPASS_IPS=",".join(trusted)
        ).rate_limit_bypass
        self._addresses = ClientAddresses(networks)
        self._host = host
        self._seen: list[ClientAddress] = []

    async def ip_of(self, *forwarded: str) -> str:
        """The address that a request with such headers is taken to come from."""
        return str((await self.client_of(*forwarded)).ip)

    async def client_of(self, *forwarded: str) -> ClientAddress:
        headers = CIMultiDict((FORWARDED_FOR, value) for value in forwarded)
        async with (
            self._serve() as url,
            aiohttp.ClientSession() as http,
            http.get(url, headers=headers) as response,
        ):
            assert response.status == 200
        return self._seen.pop()

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[str]:
        async def answer(request: web.Request) -> web.Response:
            self._seen.append(self._addresses.of(request))
            return web.Response()

        app = web.Application()
        app.router.add_get("/", answer)
        async with TestServer(app, host=self._host) as server:
            yield f"http://{'[::1]' if ':' in self._host else self._host}:{server.port}/"


@pytest.mark.parametrize(
    "forwarded",
    [("192.0.2.1",), ("127.0.0.1",), ("nonsense",), ("192.0.2.1", "192.0.2.2"), ("",)],
)
async def test_a_peer_that_is_no_proxy_is_the_client_whatever_it_says(
    forwarded: tuple[str, ...],
) -> None:
    assert await Site("10.0.0.0/8").ip_of(*forwarded) == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ([], "127.0.0.1"),
        (["192.0.2.1"], "192.0.2.1"),
        ([" 192.0.2.1 "], "192.0.2.1"),
        # The last one that is not a proxy; what is before it is the client's own invention.
        (["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        (["203.0.113.9, 192.0.2.1, 10.0.0.1"], "192.0.2.1"),
        (["203.0.113.9", "192.0.2.1", "10.0.0.1,10.0.0.2"], "192.0.2.1"),
        (["10.9.9.9, 192.0.2.1"], "192.0.2.1"),
        (["nonsense, 192.0.2.1"], "192.0.2.1"),
        ([f"{'x' * 5000}, 192.0.2.1"], "192.0.2.1"),
        # Proxies only: the first is the client of the others.
        (["10.0.0.9, 10.0.0.1"], "10.0.0.9"),
        # Spellings
        (["192.0.2.1:4711"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["2001:DB8:0:0::1"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["fe80::1%eth0"], "fe80::1"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.0.0.1"], "192.0.2.1"),
        # Malformed where it counts: the peer
        ([""], "127.0.0.1"),
        (["nonsense"], "127.0.0.1"),
        (["unknown"], "127.0.0.1"),
        (["192.0.2.1,"], "127.0.0.1"),
        (["192.0.2.1, nonsense, 10.0.0.1"], "127.0.0.1"),
        (["192.0.2"], "127.0.0.1"),
        (["192.0.2.256"], "127.0.0.1"),
        (["192.0.2.01"], "127.0.0.1"),
        (["3221225985"], "127.0.0.1"),
        (["192.0.2.1;192.0.2.2"], "127.0.0.1"),
        (["1" * 5000], "127.0.0.1"),
        ([", ".join(["192.0.2.1", *["10.0.0.1"] * 31])], "192.0.2.1"),
        ([", ".join(["192.0.2.1", *["10.0.0.1"] * 33])], "127.0.0.1"),
    ],
)
async def test_a_proxy_tells_who_its_client_is(forwarded: list[str], client: str) -> None:
    assert await Site("127.0.0.1", "10.0.0.0/8").ip_of(*forwarded) == client


async def test_a_proxy_on_ipv6_is_one_too() -> None:
    assert await Site("::1", host="::1").ip_of("192.0.2.1") == "192.0.2.1"
    assert await Site("10.0.0.0/8", host="::1").ip_of("192.0.2.1") == "::1"


@pytest.mark.parametrize(
    ("ip", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
    ],
)
async def test_a_network_of_ipv6_counts_as_one_client(ip: str, group: str) -> None:
    assert (await Site("127.0.0.1").client_of(ip)).group == group


def test_proxies_are_those_on_private_networks() -> None:
    proxies = settings_with().trusted_proxies
    assert {str(network) for network in proxies} == {
        "127.0.0.0/8",
        "::1/128",
        "169.254.0.0/16",
        "fe80::/10",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    }


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_networks_without_limits_are_proxies_whether_there_are_limits_or_not(enabled: str) -> None:
    exempt = {"PDS_RATE_LIMIT_BYPASS_IPS": "192.0.2.7/24", "PDS_RATE_LIMITS_ENABLED": enabled}
    assert str(settings_with(**exempt).trusted_proxies[-1]) == "192.0.2.0/24"
