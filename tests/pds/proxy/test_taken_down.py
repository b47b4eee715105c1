"""An account that is taken down speaks to no other service, also by a session from before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pds.api.moderation import make_inactive, update_account
from tests.pds.conftest import Account, Pds
from tests.pds.proxy.conftest import MOD_DID
from tests.pds.upstream import APPVIEW_DID, Upstream, register_service, via

ALICE_ACTOR = {"actor": "alice.test"}
REPORT = {
    "reasonType": "com.atproto.moderation.defs#reasonSpam",
    "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": MOD_DID},
}
PUSH = {"serviceDid": APPVIEW_DID, "token": "x", "platform": "web", "appId": "x"}
QUERIES: dict[str, dict[str, Any]] = {
    "app.bsky.actor.searchActors": {},
    "chat.bsky.convo.getLog": {},
    "com.example.thing": {},
    "tools.ozone.moderation.queryEvents": {},
    "app.bsky.actor.getProfile": ALICE_ACTOR,
    "app.bsky.actor.getProfiles": {"actors": "alice.test"},
    "app.bsky.feed.getActorLikes": ALICE_ACTOR,
    "app.bsky.feed.getAuthorFeed": ALICE_ACTOR,
    "app.bsky.feed.getPostThread": {"uri": "at://did:web:a.example/app.bsky.feed.post/a"},
    "app.bsky.feed.getTimeline": {},
    "app.bsky.feed.getFeed": {"feed": "at://did:web:a.example/app.bsky.feed.generator/a"},
}
PROCEDURES: dict[str, dict[str, Any]] = {
    "app.bsky.graph.muteActor": ALICE_ACTOR,
    "com.atproto.moderation.createReport": REPORT,
    "app.bsky.notification.registerPush": PUSH,
    "app.bsky.notification.unregisterPush": PUSH,
}
PREFERENCES = "app.bsky.actor.getPreferences"
REFUSED = (401, "AccountTakedown")


@pytest.mark.parametrize("nsid", [*QUERIES, *PROCEDURES])
async def test_its_older_session_is_not_passed_on(
    pds: Pds, alice: Account, appview: Upstream, mod_service: Upstream, nsid: str
) -> None:
    appview.answers_json({"value": {"did": "did:web:feeds.example.com"}})

    async def call() -> Any:
        if nsid in QUERIES:
            return await pds.get(nsid, alice.auth, **QUERIES[nsid])
        return await pds.post(nsid, PROCEDURES[nsid], alice.auth)

    assert (await call()).status == 200
    await make_inactive(pds, alice, "takendown")
    appview.received.clear()
    mod_service.received.clear()
    assert (await call()).error == REFUSED
    # What a feed is made by is asked of the AppView by nobody in particular.
    asked = [*appview.received, *mod_service.received]
    assert [one for one in asked if "Authorization" in one.headers] == []
    await update_account(pds, alice, takedown={"applied": False})
    assert (await call()).status == 200


async def test_its_preferences_elsewhere_are_out_of_reach(
    pds: Pds, alice: Account, other: Upstream
) -> None:
    elsewhere = via(register_service(pds, {"bsky_appview": other.url}), "bsky_appview")
    assert (await pds.get(PREFERENCES, {**alice.auth, **elsewhere})).status == 200
    other.received.clear()
    await make_inactive(pds, alice, "takendown")
    login = await pds.post(
        "com.atproto.server.createSession",
        {"identifier": alice.did, "password": alice.password, "allowTakendown": True},
    )
    to_appeal = {"Authorization": f"Bearer {login.json['accessJwt']}"}
    for auth in (alice.auth, to_appeal):
        assert (await pds.get(PREFERENCES, {**auth, **elsewhere})).error == REFUSED
        assert (await pds.get(PREFERENCES, auth)).status == 200
    assert other.received == []
