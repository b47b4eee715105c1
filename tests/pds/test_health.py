"""The health check, which load balancers and the container ask."""

from __future__ import annotations

from tests.pds.conftest import Account, Pds


async def test_health_names_the_version(pds: Pds) -> None:
    reply = await pds.request("GET", "/xrpc/_health")
    assert reply.status == 200
    assert reply.json == {"version": pds.ctx.settings.version}


async def test_health_says_so_when_the_database_is_gone(pds: Pds) -> None:
    pds.ctx.accounts.db.close()
    reply = await pds.request("GET", "/xrpc/_health")
    assert reply.status == 503
    assert reply.json["error"] == "Service Unavailable"


async def test_a_new_account_can_post_and_read_its_post(pds: Pds, alice: Account) -> None:
    created = await pds.post_text(alice, "hello")
    rkey = created["uri"].rpartition("/")[2]
    reply = await pds.get(
        "com.atproto.repo.getRecord",
        repo=alice.handle,
        collection="app.bsky.feed.post",
        rkey=rkey,
    )
    assert reply.json["value"]["text"] == "hello"
    assert reply.json["cid"] == created["cid"]
