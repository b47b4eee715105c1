"""Tiers and quotas over HTTP: who sets them, and what everybody may see of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
import pytest

from pds.hold.hold import Hold
from pds.hold.records import CREW, crew_rkey
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from repo.keys import K256PrivateKey, P256PrivateKey
from repo.syntax import Did
from tests.identity.conftest import WebHost, serve_pages
from tests.pds.conftest import Pds, Reply
from tests.pds.hold.callers import (
    CAPTAIN_DID,
    CAPTAIN_ENVIRON,
    Caller,
    bearer,
    enroll,
    enroll_captain,
    unknown,
)
from tests.pds.hold.conftest import BOTH, HOLD_DID

UPDATE: Final = "io.atcr.hold.updateCrewTier"
QUOTA: Final = "io.atcr.hold.getQuota"


@pytest.fixture
async def host() -> AsyncIterator[WebHost]:
    """Where the AppView serves its DID document."""
    async with serve_pages() as host:
        yield host


@pytest.fixture
def pds_environ(host: WebHost) -> dict[str, str]:
    return {
        **CAPTAIN_ENVIRON,
        "PDS_HOLD_TIERS": "deckhand=5GB,bosun=50GB,quartermaster=100GB",
        "PDS_HOLD_APPVIEW_DID": appview_did(host),
    }


def appview_did(host: WebHost) -> Did:
    return Did(f"did:web:localhost%3A{host.port}")


@pytest.fixture
def appview(host: WebHost) -> Caller:
    """The registry, whose DID document names a P-256 key in its own way."""
    appview = Caller(appview_did(host), P256PrivateKey.generate())
    publish(host, appview, ("#label", K256PrivateKey.generate()), ("#appview", appview.key))
    return appview


def publish(host: WebHost, appview: Caller, *keys: tuple[str, Any]) -> None:
    document = {
        "id": appview.did,
        "verificationMethod": [
            {
                "id": appview.did + name,
                "type": "Multikey",
                "controller": appview.did,
                "publicKeyMultibase": key.did_key.removeprefix("did:key:"),
            }
            for name, key in keys
        ],
    }
    host.answer("/.well-known/did.json", orjson.dumps(document))


@pytest.fixture
async def member(pds: Pds, hold: Hold) -> Caller:
    member = enroll(pds)
    await hold.crew.add(member.did, permissions=BOTH, role="member")
    return member


async def update(pds: Pds, appview: Caller, member: Caller, rank: int, **changes: Any) -> Reply:
    token = {"lxm": UPDATE, "sub": member.did, **changes}
    body = {"userDid": member.did, "tierRank": rank}
    return await pds.post(UPDATE, body, appview.bearer(**token))


async def record_of(pds: Pds, member: Caller) -> Any:
    reply = await pds.get(
        "com.atproto.repo.getRecord", repo=HOLD_DID, collection=CREW, rkey=crew_rkey(member.did)
    )
    return reply.json["value"]


async def test_tiers_are_listed_in_the_order_of_the_settings(pds: Pds) -> None:
    reply = await pds.get("io.atcr.hold.listTiers")
    assert reply.status == 200
    assert reply.json["tiers"] == [
        {
            "name": name,
            "quotaBytes": gigabytes * 10**9,
            "quotaFormatted": formatted,
            "scanOnPush": False,
        }
        for name, gigabytes, formatted in (
            ("deckhand", 5, "5.0 GB"),
            ("bosun", 50, "50.0 GB"),
            ("quartermaster", 100, "100 GB"),
        )
    ]


async def test_the_appview_sets_the_tier_of_a_member(
    pds: Pds, appview: Caller, member: Caller
) -> None:
    before = await record_of(pds, member)
    reply = await update(pds, appview, member, 1)
    assert (reply.status, reply.json) == (200, {"tierName": "bosun"})
    assert await record_of(pds, member) == {**before, "tier": "bosun"}
    assert (await update(pds, appview, member, 0, lxm=None)).status == 200
    assert (await record_of(pds, member))["tier"] == "deckhand"


async def test_fields_that_only_others_know_are_kept(
    pds: Pds, hold: Hold, appview: Caller, member: Caller
) -> None:
    value = {**await record_of(pds, member), "billing": {"plan": 7}, "permissions": ["blob:scan"]}
    write = prepare_write(
        pds.ctx.lexicons, "update", CREW, crew_rkey(member.did), value, validate=None
    )
    await commit(pds.ctx, hold.did, lambda _: [write])
    assert (await update(pds, appview, member, 2)).status == 200
    assert await record_of(pds, member) == {**value, "tier": "quartermaster"}


REFUSED: Final[dict[str, tuple[Callable[[Caller, Caller], str], str]]] = {
    "the member's own": (lambda _, member: member.sign(sub=member.did), "BadJwt"),
    "a member with a P-256 key": (
        lambda _, member: member.sign(sub=member.did, key_=P256PrivateKey.generate()),
        "UntrustedIss",
    ),
    "another key": (
        lambda appview, member: appview.sign(sub=member.did, key_=P256PrivateKey.generate()),
        "BadJwtSignature",
    ),
    "a K-256 key": (
        lambda appview, member: appview.sign(sub=member.did, key_=K256PrivateKey.generate()),
        "BadJwt",
    ),
    "about nobody": (lambda appview, _: appview.sign(), "BadJwt"),
    "about somebody else": (lambda appview, _: appview.sign(sub=CAPTAIN_DID), "BadJwt"),
    "about no DID": (lambda appview, _: appview.sign(sub=5), "BadJwt"),
    "for another hold": (
        lambda appview, member: appview.sign(sub=member.did, aud="did:web:hold.example"),
        "BadJwtAudience",
    ),
    "expired": (lambda appview, member: appview.sign(sub=member.did, exp=1), "ExpiredToken"),
    "for another method": (
        lambda appview, member: appview.sign(sub=member.did, lxm="com.example.other"),
        "BadJwtLexiconMethod",
    ),
}


async def test_no_other_token_sets_a_tier(pds: Pds, appview: Caller, member: Caller) -> None:
    body = {"userDid": member.did, "tierRank": 1}
    for name, (make, error) in REFUSED.items():
        reply = await pds.post(UPDATE, body, bearer(make(appview, member)))
        assert reply.error == (401, error), name
    assert "tier" not in await record_of(pds, member)


async def test_without_a_token_no_tier_is_set(pds: Pds, member: Caller) -> None:
    body = {"userDid": member.did, "tierRank": 1}
    assert (await pds.post(UPDATE, body)).error == (401, "AuthRequired")
    captain = enroll_captain(pds)
    reply = await pds.post(UPDATE, body, captain.bearer(sub=member.did))
    assert reply.error == (401, "BadJwt")


async def test_a_new_key_of_the_appview_is_found(
    pds: Pds, host: WebHost, appview: Caller, member: Caller
) -> None:
    assert (await update(pds, appview, member, 1)).status == 200
    renewed = Caller(appview.did, P256PrivateKey.generate())
    publish(host, renewed, ("#next", renewed.key))
    assert (await update(pds, renewed, member, 2)).status == 200
    assert (await update(pds, appview, member, 0)).error == (401, "BadJwtSignature")


async def test_an_appview_without_a_document_is_refused(
    pds: Pds, host: WebHost, appview: Caller, member: Caller
) -> None:
    host.answer("/.well-known/did.json", b"{}", status=500)
    assert (await update(pds, appview, member, 1)).error == (401, "AuthenticationRequired")


async def test_only_members_have_a_tier(pds: Pds, appview: Caller) -> None:
    assert (await update(pds, appview, unknown(), 1)).error == (404, "UserNotFound")


async def test_a_rank_beyond_the_tiers_is_refused(
    pds: Pds, appview: Caller, member: Caller
) -> None:
    for rank in (3, 2**40, -1):
        assert (await update(pds, appview, member, rank)).error == (400, "InvalidRequest")
    assert "tier" not in await record_of(pds, member)


# --- getQuota


async def test_a_member_has_the_limit_of_their_tier(pds: Pds, hold: Hold, member: Caller) -> None:
    reply = await pds.get(QUOTA, userDid=member.did)
    assert reply.json == {
        "userDid": member.did,
        "uniqueBlobs": 0,
        "totalSize": 0,
        "limit": 5 * 10**9,
        "tier": "deckhand",
    }
    for tier, limit in (("bosun", 50 * 10**9), ("gone", 5 * 10**9)):
        await hold.crew.update(member.did, tier=tier)
        assert (await pds.get(QUOTA, userDid=member.did)).json["limit"] == limit


async def test_the_captain_has_no_limit(pds: Pds) -> None:
    reply = await pds.get(QUOTA, userDid=CAPTAIN_DID)
    assert reply.json == {"userDid": CAPTAIN_DID, "uniqueBlobs": 0, "totalSize": 0}


async def test_a_quota_is_of_a_did(pds: Pds) -> None:
    for did in ("alice.test", "did:", "did:plc:a b"):
        assert (await pds.get(QUOTA, userDid=did)).error == (400, "InvalidUserDid"), did
    assert (await pds.get(QUOTA, userDid="x" * 3000)).error == (400, "InvalidRequest")


class TestWithoutTiers:
    """A hold whose settings name neither tiers nor an AppView."""

    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return dict(CAPTAIN_ENVIRON)

    async def test_there_is_nothing_to_list_and_no_limit(self, pds: Pds, member: Caller) -> None:
        assert (await pds.get("io.atcr.hold.listTiers")).json == {"tiers": []}
        reply = await pds.get(QUOTA, userDid=member.did)
        assert set(reply.json) == {"userDid", "uniqueBlobs", "totalSize"}

    async def test_nobody_sets_tiers(self, pds: Pds, member: Caller) -> None:
        token = member.bearer(sub=member.did)
        reply = await pds.post(UPDATE, {"userDid": member.did, "tierRank": 0}, token)
        assert reply.error == (401, "AuthRequired")
