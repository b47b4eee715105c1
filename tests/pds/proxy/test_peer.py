"""Another server of the same kind as the service that requests go on to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.pds.conftest import Pds, start_pds
from tests.pds.upstream import register_service, via

PEER_DID = "did:web:peer.example.com"
UPLOAD = "com.atproto.repo.uploadBlob"


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Pds]:
    """A server with a DID of its own and accounts of its own."""
    data = tmp_path / "peer"
    data.mkdir()
    async with AsyncExitStack() as stack:
        yield await start_pds(stack, data, {"PDS_SERVICE_DID": PEER_DID})


@pytest.fixture
def pds_environ(peer: Pds) -> dict[str, str]:
    """The peer is the AppView, and both have its PLC directory."""
    return {
        "PDS_BSKY_APP_VIEW_URL": peer.url,
        "PDS_BSKY_APP_VIEW_DID": PEER_DID,
        "PDS_DID_PLC_URL": peer.ctx.settings.identity.plc_url,
    }


async def test_records_of_the_peer_are_read_through_this_server(pds: Pds, peer: Pds) -> None:
    carol = await peer.create_account("carol")
    made = await peer.post_text(carol, "from afar")
    did, collection, rkey = made["uri"].removeprefix("at://").split("/")
    for repo in (did, carol.handle):
        reply = await pds.get(
            "com.atproto.repo.getRecord", repo=repo, collection=collection, rkey=rkey
        )
        assert (reply.json["uri"], reply.json["value"]["text"]) == (made["uri"], "from afar")
    missing = await pds.get(
        "com.atproto.repo.getRecord", repo=did, collection=collection, rkey="nope"
    )
    assert missing.error == (400, "RecordNotFound")


async def test_the_peer_believes_the_token(pds: Pds, peer: Pds) -> None:
    """It answers for a DID that it knows from the shared directory alone."""
    alice = await pds.create_account("alice")
    token = pds.ctx.service_tokens.get(alice.did, PEER_DID, UPLOAD)
    assert await peer.ctx.service_auth.verify(token, nsid=UPLOAD) == alice.did


async def test_sessions_of_this_server_are_nothing_to_the_peer(pds: Pds, peer: Pds) -> None:
    """Nor do requests go round in circles: a service token opens no session."""
    alice = await pds.create_account("alice")
    here = register_service(peer, {"pds": pds.url})
    reply = await pds.get("com.example.unknown", {**alice.auth, **via(here, "pds")})
    assert reply.error == (400, "InvalidToken")
