from __future__ import annotations

import asyncio
import socket

import pytest

from identity.http import FetchRefused, FetchUnreachable, SafeHttp
from identity.lookups import LookupFailed
from identity.stranger_names import MAX_ADDRESSES, StrangerNames
from tests.identity.conftest import DnsServer, WebHost
from tests.identity.test_lookups import lookups_at

NAME = "a.example.com"


async def found(
    server: DnsServer, host: str = NAME, family: socket.AddressFamily = socket.AF_UNSPEC
) -> list[str]:
    names = StrangerNames(lookups_at(server, timeout_s=1))
    return [result["host"] for result in await names.resolve(host, 443, family)]


async def test_addresses_of_both_families_are_found(dns_server: DnsServer) -> None:
    dns_server.addresses[NAME] = ["192.0.2.1", "2001:db8::1"]
    assert await found(dns_server) == ["192.0.2.1", "2001:db8::1"]
    assert await found(dns_server, family=socket.AF_INET6) == ["2001:db8::1"]
    assert await found(dns_server, "localhost", socket.AF_INET) == ["127.0.0.1"]


@pytest.mark.parametrize("silent", ["A", "AAAA"])
async def test_one_family_does_not_wait_long_for_the_other(
    dns_server: DnsServer, silent: str
) -> None:
    dns_server.addresses[NAME] = ["192.0.2.1", "2001:db8::1"]
    dns_server.silent_for.add(silent)
    names = StrangerNames(lookups_at(dns_server, timeout_s=60))
    async with asyncio.timeout(20):
        results = await names.resolve(NAME)
    assert [result["host"] for result in results] == [
        "192.0.2.1" if silent == "AAAA" else "2001:db8::1"
    ]


async def test_a_name_without_addresses_is_no_host(dns_server: DnsServer) -> None:
    with pytest.raises(OSError, match="has no address"):
        await found(dns_server)
    dns_server.txt[NAME] = ["hello"]
    with pytest.raises(OSError, match="has no address"):
        await found(dns_server)
    dns_server.silent = True
    with pytest.raises(LookupFailed):
        await found(dns_server, "b.example.com")


async def test_a_few_of_many_addresses_are_tried(dns_server: DnsServer) -> None:
    dns_server.addresses[NAME] = [f"192.0.2.{number}" for number in range(60)]
    assert len(await found(dns_server)) == MAX_ADDRESSES


async def test_a_name_that_leads_to_a_private_address_is_refused(dns_server: DnsServer) -> None:
    dns_server.addresses[NAME] = ["10.0.0.1", "fd00::1"]
    dns_server.aliases["b.example.com"] = "localhost"
    dns_server.addresses["localhost"] = ["127.0.0.1"]
    async with SafeHttp(resolver=StrangerNames(lookups_at(dns_server))) as http:
        for host in (NAME, "b.example.com", "localhost", "a.localhost"):
            with pytest.raises(FetchRefused, match="not public"):
                await http.get(f"https://{host}/")


async def test_names_of_the_operator_are_not_looked_up_where_strangers_are(
    dns_server: DnsServer, web_host: WebHost
) -> None:
    dns_server.silent = True
    web_host.answer("/", "1")
    async with SafeHttp(resolver=StrangerNames(lookups_at(dns_server, timeout_s=0.2))) as http:
        url = f"http://localhost:{web_host.port}/"
        assert await http.get_json(url, trusted=True) == 1
        assert dns_server.queries == []
        with pytest.raises(FetchUnreachable):
            await http.get("https://a.example.com/")
    assert set(dns_server.queries) == {NAME}


async def test_a_lookup_that_is_given_up_leaves_no_task(dns_server: DnsServer) -> None:
    dns_server.silent = True
    names = StrangerNames(lookups_at(dns_server))
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(names.resolve(NAME))
    await dns_server.asked.wait()
    waiting.cancel()
    await asyncio.wait(asyncio.all_tasks() - before)
    assert waiting.cancelled()
