"""Lexicons in repositories: found by DNS, read here or fetched with their proof."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from identity.did_document import DidDocument
from identity.http import SafeHttp
from identity.lookups import Lookups
from identity.nameservers import make_client
from pds.oauth.permission_sets.errors import LexiconUnavailable
from pds.oauth.permission_sets.sources import COLLECTION, Repositories
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.identity.conftest import DnsServer, WebHost, serve_pages
from tests.pds.conftest import Account, Pds
from tests.pds.oauth.permission_sets.lexicons import NSID, permission_set, proof_of

NAME = "_lexicon.calendar.example.com"
PAGE = "/xrpc/com.atproto.sync.getRecord"
ELSEWHERE = Did("did:web:lexicons.example.com")
KEY = K256PrivateKey.from_bytes(b"\x01" * 32)
NEW_KEY = K256PrivateKey.from_bytes(b"\x02" * 32)


@dataclass
class World:
    """A server, a name server, and the server of another account."""

    pds: Pds
    dns: DnsServer
    host: WebHost
    http: SafeHttp
    key: K256PrivateKey = KEY

    def repositories(self, authority: Did | None = None) -> Repositories:
        async def client() -> Any:
            return make_client([("127.0.0.1", self.dns.port)], timeout_s=5)

        return Repositories(
            lookups=Lookups(client=client),
            dids=self.pds.ctx.did_resolver,
            http=self.http,
            accounts=self.pds.ctx.accounts,
            actor_store=self.pds.ctx.actor_store,
            authority=authority,
        )

    def document(self) -> DidDocument:
        key = {"id": "#atproto", "type": "Multikey", "publicKeyMultibase": _multibase(self.key)}
        service = {
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": self.host.url,
        }
        return DidDocument({"id": ELSEWHERE, "verificationMethod": [key], "service": [service]})

    async def reason(self) -> str:
        with pytest.raises(LexiconUnavailable) as caught:
            await self.repositories().fetch(NSID)
        return caught.value.reason


def _multibase(key: K256PrivateKey) -> str:
    return key.did_key.removeprefix("did:key:")


@pytest.fixture
async def world(pds: Pds) -> AsyncIterator[World]:
    dns = DnsServer()
    await dns.start()
    async with serve_pages() as host, SafeHttp(allow_private=True, timeout_ms=5_000) as http:
        world = World(pds, dns, host, http)
        pds.ctx.did_resolver.answer_for(ELSEWHERE, world.document)
        yield world
    await dns.close()


async def publish(world: World, account: Account, record: dict[str, Any]) -> None:
    world.dns.txt[NAME] = [f"did={account.did}"]
    await world.pds.create_record(account, COLLECTION, record, rkey=NSID, validate=False)


async def test_a_lexicon_of_this_server_is_read_without_a_request(
    world: World, alice: Account
) -> None:
    await publish(world, alice, permission_set())
    uri, document = await world.repositories().fetch(NSID)
    assert uri == f"at://{alice.did}/{COLLECTION}/{NSID}"
    assert document == permission_set()
    assert world.host.requests == []


async def test_a_lexicon_of_another_server_is_fetched_with_its_proof(world: World) -> None:
    world.dns.txt[NAME] = [f"did={ELSEWHERE}"]
    world.host.answer(PAGE, proof_of(ELSEWHERE, KEY, permission_set()))
    uri, document = await world.repositories().fetch(NSID)
    assert uri == f"at://{ELSEWHERE}/{COLLECTION}/{NSID}"
    assert document == permission_set()
    assert world.host.requests == [PAGE]


async def test_the_operator_may_name_the_authority(world: World) -> None:
    world.host.answer(PAGE, proof_of(ELSEWHERE, KEY, permission_set()))
    _, document = await world.repositories(ELSEWHERE).fetch(NSID)
    assert document == permission_set()
    assert world.dns.queries == []


async def test_a_proof_by_another_key_is_no_proof(world: World) -> None:
    world.dns.txt[NAME] = [f"did={ELSEWHERE}"]
    world.host.answer(PAGE, proof_of(ELSEWHERE, NEW_KEY, permission_set()))
    assert "has not signed" in await world.reason()


async def test_a_key_that_has_just_been_changed_is_looked_up_again(world: World) -> None:
    world.dns.txt[NAME] = [f"did={ELSEWHERE}"]
    world.host.answer(PAGE, proof_of(ELSEWHERE, NEW_KEY, permission_set()))
    old = world.document()
    world.key = NEW_KEY
    documents = iter((old, world.document()))
    world.pds.ctx.did_resolver.answer_for(ELSEWHERE, lambda: next(documents))
    _, document = await world.repositories().fetch(NSID)
    assert document == permission_set()


async def test_what_the_network_does_not_give_cannot_be_had(world: World) -> None:
    assert NAME in await world.reason()
    world.dns.broken.add("_lexicon.broken.example.com")
    with pytest.raises(LexiconUnavailable):
        await world.repositories().fetch("com.example.broken.authFull")
    world.dns.txt[NAME] = [f"did={ELSEWHERE}"]
    world.pds.ctx.did_resolver.answer_for(ELSEWHERE, lambda: DidDocument({"id": ELSEWHERE}))
    assert "no server" in await world.reason()


@pytest.mark.parametrize("status", [302, 400, 500])
async def test_a_server_that_refuses_is_not_followed(world: World, status: int) -> None:
    world.dns.txt[NAME] = [f"did={ELSEWHERE}"]
    world.host.answer(PAGE, b"{}", status=status)
    assert await world.reason() != ""
    assert world.host.requests[0] == PAGE


async def test_an_answer_that_is_too_large_is_refused(world: World) -> None:
    world.dns.txt[NAME] = [f"did={ELSEWHERE}"]
    world.host.answer(PAGE, b"x" * 300_000)
    assert "longer than 262144 bytes" in await world.reason()


async def test_a_document_under_another_id_is_refused(world: World, alice: Account) -> None:
    await publish(world, alice, permission_set("com.example.calendar.other"))
    assert "its id is not" in await world.reason()


async def test_a_missing_record_of_this_server_is_not_sought_elsewhere(
    world: World, alice: Account
) -> None:
    world.dns.txt[NAME] = [f"did={alice.did}"]
    assert "no such record" in await world.reason()
    assert world.host.requests == []


async def test_a_taken_down_publisher_has_no_lexicons(world: World, alice: Account) -> None:
    await publish(world, alice, permission_set())
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": alice.did}
    await world.pds.post(
        "com.atproto.admin.updateSubjectStatus",
        {"subject": subject, "takedown": {"applied": True}},
        world.pds.admin,
    )
    assert "taken down" in await world.reason()
