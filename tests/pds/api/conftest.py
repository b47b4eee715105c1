"""What several tests of endpoints need: a world of handles outside, an account with contents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from identity.handles import HandleResolver
from identity.http import SafeHttp
from tests.identity.conftest import DnsServer, WebHost, serve_pages
from tests.pds.api.mailbox import Mailbox, settings_of
from tests.pds.api.moderation import NOTE, PNG, Recorder
from tests.pds.conftest import Account, Pds
from tests.pds.identities import WebDid
from tests.pds.mail.smtp_server import MailServer, mail_server


class EveryName(AbstractResolver):
    """Finds every host at one port of this machine, or none while `is_up` is false."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.is_up = True

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        if not self.is_up:
            raise OSError("unknown host")
        found = ResolveResult(
            hostname=host, host="127.0.0.1", port=self.port, family=2, proto=0, flags=0
        )
        return [found]

    async def close(self) -> None:
        pass


@dataclass(slots=True)
class HandleWorld:
    """Where external handles are looked up. `dns.queries` and `host.requests` tell what was."""

    dns: DnsServer
    host: WebHost
    names: EveryName

    def publish(self, handle: str, did: str, *, by: Literal["dns", "web"] = "dns") -> None:
        """Let a TXT record of `handle`, or a page on it, name `did`."""
        if by == "dns":
            self.dns.txt[f"_atproto.{handle}"] = [f"did={did}"]
        else:
            self.host.answer("/.well-known/atproto-did", did)


@pytest.fixture
async def handle_world(pds: Pds) -> AsyncIterator[HandleWorld]:
    """Makes the server of the test look up external handles in a world of its own."""
    dns = DnsServer()
    await dns.start()
    async with serve_pages() as host:
        names = EveryName(host.port)
        async with SafeHttp(allow_private=True, resolver=names) as http:
            pds.ctx.handle_resolver = HandleResolver(http, nameservers=[dns.address], scheme="http")
            yield HandleWorld(dns, host, names)
    await dns.close()


@pytest.fixture
async def web_did() -> AsyncIterator[WebDid]:
    """A did:web on this machine, whose document does not exist yet."""
    async with serve_pages() as host:
        yield WebDid.on(host)


@pytest.fixture
def new_events(pds: Pds, alice: Account) -> Recorder:
    """The events since the last look; those of the fixtures' accounts are not among them."""
    return Recorder(pds)


@pytest.fixture
async def smtp() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


@pytest.fixture
def pds_with_mail(pds_environ: dict[str, str], smtp: MailServer) -> dict[str, str]:
    """Settings that let the server of the test send mail; asked for before `pds`."""
    pds_environ |= settings_of(f"smtp://{smtp.address}")
    return pds_environ


@pytest.fixture
def mailbox(pds_with_mail: dict[str, str], pds: Pds, smtp: MailServer) -> Mailbox:
    return Mailbox(pds, smtp)


@pytest.fixture
async def furnished(pds: Pds, alice: Account) -> dict[str, Any]:
    """An account with a record and a blob: the parameters to ask for them with."""
    blob = (await pds.upload(alice, PNG)).json["blob"]
    record = await pds.create_record(alice, NOTE, {"picture": blob}, rkey="one")
    return {
        "did": alice.did,
        "repo": alice.did,
        "collection": NOTE,
        "rkey": "one",
        "cid": blob["ref"]["$link"],
        "cids": record["cid"],
    }
