"""What a stranger's service token makes the server fetch."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from identity.did_document import DidDocument
from identity.did_source import DidSource
from pds.service_auth.jwt import create_service_jwt
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.identities import register_foreign_did

CREATE_ACCOUNT = "com.atproto.server.createAccount"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[Did]:
    """The DIDs whose documents were fetched."""
    dids: list[Did] = []
    fetch = DidSource.fetch

    async def noted(self: DidSource, did: Did) -> object:
        dids.append(did)
        return await fetch(self, did)

    monkeypatch.setattr(DidSource, "fetch", noted)
    return dids


async def send_token(pds: Pds, iss: str) -> tuple[int, str]:
    """Send a token that another has signed than `iss`."""
    token = create_service_jwt(
        K256PrivateKey.generate(),
        iss=iss,
        aud="did:web:localhost",
        now_s=int(time.time()),
        lxm=CREATE_ACCOUNT,
    )
    body = {"handle": "dana.test", "email": "dana@example.com", "did": iss}
    reply = await pds.post(CREATE_ACCOUNT, body, {"Authorization": f"Bearer {token}"})
    return reply.error


async def test_badly_signed_tokens_have_a_document_fetched_again_once(
    pds: Pds, fetched: list[Did]
) -> None:
    owner = register_foreign_did(pds)
    await pds.ctx.did_resolver.resolve(owner.did)
    fetched.clear()
    refusals = await asyncio.gather(*(send_token(pds, owner.did) for _ in range(50)))
    assert set(refusals) == {(401, "BadJwtSignature")}
    assert fetched == [owner.did]


async def test_tokens_of_a_did_that_is_not_there_ask_for_it_once(
    pds: Pds, fetched: list[Did]
) -> None:
    did = Did("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    for _ in range(20):
        assert await send_token(pds, did) == (401, "AuthenticationRequired")
    assert fetched == [did]


async def test_documents_that_strangers_name_do_not_fill_the_disk(
    pds: Pds, alice: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = pds.ctx.did_resolver
    await resolver.resolve(Did(alice.did))

    async def fetch(_: DidSource, did: Did) -> DidDocument:
        return DidDocument({"id": did, "alsoKnownAs": ["at://" + "a" * 120_000]})

    monkeypatch.setattr(DidSource, "fetch", fetch)
    for n in range(400):
        refusal = await send_token(pds, f"did:web:n{n}.example.com")
        assert refusal == (401, "AuthenticationRequired")
        assert resolver.find_cached(Did(alice.did)) is not None  # What is in use stays.
    assert size_of_cache(tmp_path) < 48_000_000


def size_of_cache(data: Path) -> int:
    return sum(path.stat().st_size for path in data.glob("did_cache.sqlite*"))
