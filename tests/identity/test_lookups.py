"""Looking up strangers' names at name servers that are slow, silent, or worse."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.asyncresolver
import pytest

from database.open_files import OpenFiles, OutOfFiles
from identity import lookups as lookups_module
from identity import nameservers
from identity.lookups import LookupFailed, Lookups, fresh_lookups
from identity.nameservers import MAX_TCP_BYTES, SystemNameservers, make_client
from identity.share import Share
from tests.identity.conftest import DnsServer

NAME = "a.example.com"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def lookups_at(
    server: DnsServer,
    *,
    timeout_s: float = 5.0,
    share: Share | None = None,
    clock: Clock | None = None,
) -> Lookups:
    client = make_client([("127.0.0.1", server.port)], timeout_s=timeout_s)

    async def ask() -> dns.asyncresolver.Resolver:
        return client

    return Lookups(client=ask, share=share, clock=clock or Clock())


async def texts(lookups: Lookups, name: str = NAME, kind: str = "A") -> list[str]:
    return [record.to_text() for record in await lookups.find(name, kind)]


async def test_records_are_found(dns_server: DnsServer) -> None:
    dns_server.addresses[NAME] = ["192.0.2.1", "2001:db8::1"]
    lookups = lookups_at(dns_server)
    assert await texts(lookups) == ["192.0.2.1"]
    assert await texts(lookups, kind="AAAA") == ["2001:db8::1"]


async def test_a_name_is_asked_for_as_it_is(dns_server: DnsServer) -> None:
    """Search domains of the machine are not for names of strangers."""
    assert await texts(lookups_at(dns_server), "inner") == []
    assert dns_server.queries == ["inner"]


async def test_aliases_are_followed(dns_server: DnsServer) -> None:
    dns_server.aliases = {NAME: "b.example.com", "b.example.com": "c.example.com"}
    dns_server.addresses["c.example.com"] = ["192.0.2.3"]
    assert await texts(lookups_at(dns_server)) == ["192.0.2.3"]


async def test_a_loop_of_aliases_leads_nowhere(dns_server: DnsServer) -> None:
    dns_server.aliases = {NAME: "b.example.com", "b.example.com": NAME}
    with pytest.raises(LookupFailed):
        await lookups_at(dns_server).find(NAME, "A")


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64 + ".com", "a." * 130, "\udcff.com"])
async def test_what_is_no_name_is_not_found(dns_server: DnsServer, name: str) -> None:
    dns_server.silent = True
    with pytest.raises(LookupFailed):
        await lookups_at(dns_server, timeout_s=0.1).find(name, "A")


# --- What is remembered


async def test_an_answer_is_remembered_for_its_time(dns_server: DnsServer) -> None:
    clock = Clock()
    lookups = lookups_at(dns_server, clock=clock)
    dns_server.addresses[NAME], dns_server.ttl_s = ["192.0.2.1"], 20
    for _ in range(3):
        assert await texts(lookups) == ["192.0.2.1"]
    assert len(dns_server.queries) == 1
    dns_server.addresses[NAME] = ["192.0.2.2"]
    clock.now += 21
    assert await texts(lookups) == ["192.0.2.2"]


async def test_no_answer_counts_for_longer_than_a_minute(dns_server: DnsServer) -> None:
    clock = Clock()
    lookups = lookups_at(dns_server, clock=clock)
    dns_server.addresses[NAME], dns_server.ttl_s = ["192.0.2.1"], 2**31 - 1
    await texts(lookups)
    clock.now += 61
    await texts(lookups)
    assert len(dns_server.queries) == 2


async def test_it_is_remembered_for_a_while_that_there_is_nothing(dns_server: DnsServer) -> None:
    clock = Clock()
    lookups = lookups_at(dns_server, clock=clock)
    for _ in range(3):
        assert await texts(lookups) == []
    assert len(dns_server.queries) == 1
    dns_server.addresses[NAME] = ["192.0.2.1"]
    clock.now += 31
    assert await texts(lookups) == ["192.0.2.1"]


async def test_it_is_remembered_for_a_while_that_nobody_says(dns_server: DnsServer) -> None:
    clock = Clock()
    lookups = lookups_at(dns_server, clock=clock)
    dns_server.broken.add(NAME)
    for _ in range(3):
        with pytest.raises(LookupFailed):
            await lookups.find(NAME, "A")
    assert len(dns_server.queries) == 1
    dns_server.broken.clear()
    dns_server.addresses[NAME] = ["192.0.2.1"]
    clock.now += 11
    assert await texts(lookups) == ["192.0.2.1"]


async def test_a_fresh_lookup_does_not_believe_what_is_remembered(dns_server: DnsServer) -> None:
    lookups = lookups_at(dns_server)
    assert await texts(lookups) == []
    dns_server.addresses[NAME] = ["192.0.2.1"]
    with fresh_lookups():
        assert await texts(lookups) == ["192.0.2.1"]
    # And others profit from it.
    assert await texts(lookups) == ["192.0.2.1"]


# --- Time and number


async def test_silence_ends_in_time_and_hurts_only_the_names_it_is_kept_about(
    dns_server: DnsServer,
) -> None:
    silent = {f"n{number}.silent.example" for number in range(100)}
    dns_server.silent_for |= silent
    dns_server.addresses[NAME] = ["192.0.2.1"]
    lookups = lookups_at(dns_server, timeout_s=2)
    waiting = [asyncio.create_task(lookups.find(name, "A")) for name in silent]
    await dns_server.asked.wait()
    assert await texts(lookups) == ["192.0.2.1"]
    async with asyncio.timeout(30):
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {LookupFailed}


async def test_one_question_is_asked_once_however_many_wait_for_the_answer(
    dns_server: DnsServer,
) -> None:
    dns_server.addresses[NAME] = ["192.0.2.1"]
    lookups = lookups_at(dns_server)
    found = await asyncio.gather(*(texts(lookups) for _ in range(20)))
    assert found == [["192.0.2.1"]] * 20
    assert len(dns_server.queries) == 1


async def test_a_lookup_ends_when_nobody_waits_for_it_any_more(dns_server: DnsServer) -> None:
    dns_server.silent = True
    lookups = lookups_at(dns_server)
    waiting = [asyncio.create_task(lookups.find(NAME, "A")) for _ in range(2)]
    await dns_server.asked.wait()
    before = asyncio.all_tasks()
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    assert waiting[0].cancelled()
    assert not waiting[1].done()
    waiting[1].cancel()
    await asyncio.wait(before - {asyncio.current_task()})
    # Whoever comes next does not get what was given up.
    dns_server.silent = False
    dns_server.addresses[NAME] = ["192.0.2.1"]
    assert await texts(lookups) == ["192.0.2.1"]


class Counting:
    """A share that records who has a turn."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, domain: str) -> AsyncIterator[None]:
        self.now[domain] += 1
        self.most[domain] = max(self.most[domain], self.now[domain])
        try:
            yield
        finally:
            self.now[domain] -= 1


async def test_a_lookup_takes_a_turn_of_its_domain(dns_server: DnsServer) -> None:
    share = Counting()
    lookups = lookups_at(dns_server, share=share)
    await asyncio.gather(*(lookups.find(f"n{number}.example.com", "A") for number in range(5)))
    assert share.most == {"example.com": 5}
    assert share.now.total() == 0
    # What is remembered takes none.
    share.most.clear()
    await lookups.find("n1.example.com", "A")
    assert share.most == {}


async def test_what_is_remembered_has_a_bound(
    dns_server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups_module, "_CACHED", 10)
    lookups = lookups_at(dns_server)
    for number in range(30):
        await lookups.find(f"n{number}.example.com", "A")
    assert len(lookups._known) == 10
    # An answer takes more of it the more there is in it.
    dns_server.txt = {f"n{number}.example.com": list("abcd") for number in range(30)}
    for name in dns_server.txt:
        await lookups.find(name, "TXT")
    assert len(lookups._known) == 2


async def test_a_lookup_without_a_file_for_it_says_nothing_of_the_name(
    dns_server: DnsServer,
) -> None:
    dns_server.addresses[NAME] = ["192.0.2.1"]
    opened = 1_000
    files = OpenFiles(limit=1_000, count=lambda: opened)
    client = make_client([("127.0.0.1", dns_server.port)], timeout_s=5)

    async def ask() -> dns.asyncresolver.Resolver:
        return client

    with pytest.raises(OutOfFiles):
        await Lookups(client=ask, files=files).find(NAME, "A")
    assert dns_server.queries == []


# --- Size


async def test_an_answer_too_long_for_a_packet_comes_over_tcp(dns_server: DnsServer) -> None:
    dns_server.txt[NAME] = [f"{number:0200}" for number in range(20)]
    assert len(await lookups_at(dns_server).find(NAME, "TXT")) == 20


async def test_an_answer_that_would_stop_the_server_is_not_read(dns_server: DnsServer) -> None:
    dns_server.txt[NAME] = [f"{number:0200}" for number in range(MAX_TCP_BYTES // 200)]
    with pytest.raises(LookupFailed):
        await lookups_at(dns_server).find(NAME, "TXT")


async def test_a_packet_that_is_no_answer_keeps_nobody_from_the_answer(
    dns_server: DnsServer,
) -> None:
    dns_server.addresses[NAME] = ["192.0.2.1"]
    dns_server.before_answers = [b"", b"\0\0junk", b"\0" * 600]
    assert await texts(lookups_at(dns_server)) == ["192.0.2.1"]


async def test_a_name_server_that_is_not_there_is_not_waited_for(dns_server: DnsServer) -> None:
    dns_server.addresses[NAME] = ["192.0.2.1"]
    with socket.socket(type=socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = nobody.getsockname()
    client = make_client([gone, ("127.0.0.1", dns_server.port)], timeout_s=3_000)

    async def ask() -> dns.asyncresolver.Resolver:
        return client

    async with asyncio.timeout(30):
        assert await texts(Lookups(client=ask)) == ["192.0.2.1"]


# --- The system's name servers


@pytest.fixture
def resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "resolv.conf"
    monkeypatch.setattr(nameservers, "RESOLV_CONF", path)
    return path


def test_name_servers_of_the_system_are_asked_without_its_search_domains(
    resolv_conf: Path,
) -> None:
    resolv_conf.write_text(
        "search corp.example\nnameserver 192.0.2.53\nnameserver ::1\noptions rotate timeout:30\n"
    )
    client = SystemNameservers(timeout_s=3).client()
    assert [str(server) for server in client.nameservers] == ["Do53:192.0.2.53@53", "Do53:::1@53"]
    assert (client.lifetime, client.timeout, client.rotate) == (3, 1, True)


@pytest.mark.parametrize("text", [None, "", "nameserver\n", "nameserver nonsense\n", "\xff"])
def test_where_the_system_names_none_the_machine_itself_is_asked(
    resolv_conf: Path, text: str | None
) -> None:
    if text is not None:
        resolv_conf.write_text(text, encoding="latin-1")
    (server,) = SystemNameservers(timeout_s=3).client().nameservers
    assert str(server) == "Do53:127.0.0.1@53"


def test_a_line_that_says_nothing_spoils_no_other(resolv_conf: Path) -> None:
    resolv_conf.write_text(
        "; comment\n# nameserver 192.0.2.1\nnameserver nonsense\nnameserver fe80::1%eth0 # mine\n"
    )
    (server,) = SystemNameservers(timeout_s=3).client().nameservers
    assert str(server) == "Do53:fe80::1%eth0@53"


async def test_a_system_that_asks_over_tcp_alone_is_followed(
    resolv_conf: Path, dns_server: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nameservers, "DNS_PORT", dns_server.port)
    await asyncio.to_thread(resolv_conf.write_text, "nameserver 127.0.0.1\noptions use-vc\n")
    dns_server.addresses[NAME] = ["192.0.2.1"]
    dns_server.deaf_to_packets = True
    async with asyncio.timeout(20):
        assert await texts(Lookups()) == ["192.0.2.1"]
