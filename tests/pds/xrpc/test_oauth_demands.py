"""What every endpoint demands of an OAuth token: the table of all of them, and each refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from repo.lexicon import default_lexicons
from tests.endpoints import all_methods
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.oauth.tokens_of import OAuthCaller, sign_in
from tests.pds.upstream import APPVIEW_DID, Upstream, run_upstream

MOD_DID: Final = "did:web:mod.example.com"
UNSUPPORTED: Final = "OAuth credentials are not supported for this endpoint"
IN_PAGES: Final = (
    "Use the account manager interface to update email address associated with an account"
)
NO_REACTIVATION: Final = (
    "Account reactivation is not available with OAuth credentials. Sign in to your account "
    "management page to reactivate."
)
NOTE: Final = "com.example.note"
POST: Final = {"collection": NOTE, "record": {"$type": NOTE}}
EMPTY: Final[dict[str, Any]] = {}


@dataclass(frozen=True)
class Case:
    """A request, and the scopes that it needs, each beside `atproto`."""

    needs: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    json: Any = None
    data: bytes | None = None
    type: str | None = None
    refused: str | None = None
    """Why every token is refused."""


def at_appview(nsid: str) -> str:
    return f"rpc:{nsid}?aud={APPVIEW_DID}%23bsky_appview"


def read(nsid: str, **params: Any) -> dict[str, Case]:
    return {nsid: Case((at_appview(nsid),), params)}


def never(name: str, json: Any = None, reason: str = UNSUPPORTED) -> dict[str, Case]:
    return {f"com.atproto.{name}": Case(json=json, refused=reason)}


def push(nsid: str) -> dict[str, Case]:
    body = {"serviceDid": APPVIEW_DID, "token": "t", "platform": "ios", "appId": "a"}
    return {nsid: Case((f"rpc:{nsid}?aud={APPVIEW_DID}%23bsky_notif",), json=body)}


CASES: Final[dict[str, Case]] = {
    **read("app.bsky.actor.getPreferences"),
    **read("app.bsky.actor.getProfile", actor="bob.test"),
    **read("app.bsky.actor.getProfiles", actors="bob.test"),
    **read("app.bsky.feed.getActorLikes", actor="bob.test"),
    **read("app.bsky.feed.getAuthorFeed", actor="bob.test"),
    **read("app.bsky.feed.getPostThread", uri="at://did:web:a.b/app.bsky.feed.post/a"),
    **read("app.bsky.feed.getTimeline"),
    "app.bsky.feed.getFeed": Case(
        (at_appview("app.bsky.feed.getFeed"), at_appview("app.bsky.feed.getFeedSkeleton")),
        {"feed": "at://did:web:a.b/app.bsky.feed.generator/a"},
    ),
    "app.bsky.actor.putPreferences": Case(
        (at_appview("app.bsky.actor.putPreferences"),), json={"preferences": []}
    ),
    **push("app.bsky.notification.registerPush"),
    **push("app.bsky.notification.unregisterPush"),
    "com.atproto.identity.getRecommendedDidCredentials": Case(),
    "com.atproto.identity.requestPlcOperationSignature": Case(("identity:*",)),
    "com.atproto.identity.signPlcOperation": Case(("identity:*",), json=EMPTY),
    "com.atproto.identity.submitPlcOperation": Case(("identity:*",), json={"operation": EMPTY}),
    "com.atproto.identity.updateHandle": Case(("identity:handle",), json={"handle": "new.test"}),
    "com.atproto.moderation.createReport": Case(
        (f"rpc:com.atproto.moderation.createReport?aud={MOD_DID}%23atproto_labeler",),
        json={
            "reasonType": "com.atproto.moderation.defs#reasonSpam",
            "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": "did:web:a.b"},
        },
    ),
    "com.atproto.repo.createRecord": Case((f"repo:{NOTE}?action=create",), json=POST),
    "com.atproto.repo.putRecord": Case(
        (f"repo:{NOTE}?action=create", f"repo:{NOTE}?action=update"), json={**POST, "rkey": "a"}
    ),
    "com.atproto.repo.deleteRecord": Case(
        (f"repo:{NOTE}?action=delete",), json={"collection": NOTE, "rkey": "a"}
    ),
    "com.atproto.repo.applyWrites": Case(
        (f"repo:{NOTE}?action=create", "repo:com.example.other?action=update"),
        json={
            "writes": [
                {
                    "$type": "com.atproto.repo.applyWrites#update",
                    "collection": "com.example.other",
                    "rkey": "a",
                    "value": EMPTY,
                },
                {
                    "$type": "com.atproto.repo.applyWrites#create",
                    "collection": NOTE,
                    "value": EMPTY,
                },
            ]
        },
    ),
    "com.atproto.repo.importRepo": Case(
        ("account:repo?action=manage",), data=b"x", type="application/vnd.ipld.car"
    ),
    "com.atproto.repo.listMissingBlobs": Case(),
    "com.atproto.repo.uploadBlob": Case(("blob:image/png",), data=b"x", type="image/png; q=1"),
    "com.atproto.server.checkAccountStatus": Case(),
    "com.atproto.server.confirmEmail": Case(
        ("account:email?action=manage",), json={"email": "a@example.com", "token": "x"}
    ),
    "com.atproto.server.deactivateAccount": Case(("account:status?action=manage",), json=EMPTY),
    "com.atproto.server.getServiceAuth": Case(
        ("rpc:com.example.get?aud=did:web:a.b%23x",),
        {"aud": "did:web:a.b#x", "lxm": "com.example.get"},
    ),
    "com.atproto.server.getSession": Case(),
    "com.atproto.server.requestEmailConfirmation": Case(("account:email?action=manage",)),
    **never("server.activateAccount", reason=NO_REACTIVATION),
    **never("server.createAppPassword", {"name": "x"}),
    **never("server.getAccountInviteCodes"),
    **never("server.listAppPasswords"),
    **never("server.requestAccountDelete"),
    **never("server.requestEmailUpdate", reason=IN_PAGES),
    **never("server.revokeAppPassword", {"name": "x"}),
    **never("server.updateEmail", {"email": "a@example.com"}, reason=IN_PAGES),
    **never("temp.checkSignupQueue"),
}
METHODS: Final = {method.nsid: method for method in all_methods()}


@pytest.fixture
async def services() -> AsyncIterator[Upstream]:
    async with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def pds_environ(services: Upstream) -> dict[str, str]:
    return {
        "PDS_BSKY_APP_VIEW_URL": services.url,
        "PDS_BSKY_APP_VIEW_DID": APPVIEW_DID,
        "PDS_MOD_SERVICE_URL": services.url,
        "PDS_MOD_SERVICE_DID": MOD_DID,
    }


def verb(nsid: str) -> str:
    schema = default_lexicons().method(nsid)
    assert schema is not None
    return "POST" if schema.kind == "procedure" else "GET"


async def call(caller: OAuthCaller, did: str, nsid: str) -> Reply:
    """Call a method as its case says."""
    case = CASES[nsid]
    headers = {} if case.type is None else {"Content-Type": case.type}
    json = {"repo": did, **case.json} if ".repo." in nsid and case.json else case.json
    return await caller.request(
        verb(nsid),
        f"/xrpc/{nsid}",
        headers=headers,
        params=case.params,
        json=json,
        data=case.data,
    )


def test_the_table_has_every_endpoint_that_takes_oauth_tokens() -> None:
    taking = {
        nsid
        for nsid, method in METHODS.items()
        if method.auth is not None and "; OAuth: " in method.auth.demands
    }
    assert taking == set(CASES)


async def test_a_call_is_refused_by_the_first_scope_that_it_lacks(pds: Pds, alice: Account) -> None:
    for nsid, case in CASES.items():
        for index, missing in enumerate(case.needs):
            granted = ("atproto", *case.needs[:index], *_others(case))
            reply = await call(await sign_in(pds, alice.did, " ".join(granted)), alice.did, nsid)
            assert (nsid, *reply.error) == (nsid, 403, "ScopeMissingError")
            assert reply.json["message"] == f'Missing required scope "{missing}"'
            challenge = reply.headers["WWW-Authenticate"]
            assert challenge.endswith(f', error="insufficient_scope", scope="{missing}"')


def _others(case: Case) -> set[str]:
    """The scopes that other calls need, without those that cover more than one of them."""
    needs = {need for other in CASES.values() for need in other.needs}
    return needs - set(case.needs) - {"identity:*"}


async def test_a_call_is_let_through_with_the_scopes_that_it_needs(
    pds: Pds, alice: Account
) -> None:
    last = "com.atproto.server.deactivateAccount"
    for nsid in (*(nsid for nsid in CASES if nsid != last), last):
        if not CASES[nsid].refused:
            scope = " ".join(("atproto", *CASES[nsid].needs))
            reply = await call(await sign_in(pds, alice.did, scope), alice.did, nsid)
            assert reply.status in (200, 400, 502), (nsid, reply.body)
            assert "WWW-Authenticate" not in reply.headers


async def test_a_call_that_is_for_people_is_refused_whatever_the_scopes(
    pds: Pds, alice: Account
) -> None:
    scope = "atproto transition:generic identity:* account:status?action=manage"
    caller = await sign_in(pds, alice.did, scope)
    refused = {nsid: case.refused for nsid, case in CASES.items() if case.refused}
    for nsid, message in refused.items():
        reply = await call(caller, alice.did, nsid)
        assert (nsid, *reply.error) == (nsid, 403, "Forbidden")
        assert reply.json["message"] == message


async def test_methods_for_others_take_no_oauth_token(pds: Pds, alice: Account) -> None:
    caller = await sign_in(pds, alice.did, "atproto transition:generic")
    others = [nsid for nsid, method in METHODS.items() if method.auth and nsid not in CASES]
    refusals = {
        nsid: (await caller.post(nsid, EMPTY)).error for nsid in others if verb(nsid) == "POST"
    }
    assert len(refusals) > 10
    assert set(refusals.values()) == {(401, "AuthenticationRequired"), (400, "InvalidToken")}
