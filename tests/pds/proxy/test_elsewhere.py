"""What is not kept here: records of others, preferences at other AppViews, handles."""

from __future__ import annotations

import json
import time

import pytest

from pds.service_auth.jwt import create_service_jwt
from repo.keys import K256PrivateKey, PrivateKey
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.upstream import APPVIEW_DID, Upstream, register_service, slam, via

Headers = dict[str, str]

GET_RECORD = "com.atproto.repo.getRecord"
GET_PREFERENCES = "app.bsky.actor.getPreferences"
PUT_PREFERENCES = "app.bsky.actor.putPreferences"
RESOLVE = "com.atproto.identity.resolveHandle"
STRANGER = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
ADULT = {"$type": "app.bsky.actor.defs#adultContentPref", "enabled": True}
BORN = {
    "$type": "app.bsky.actor.defs#personalDetailsPref",
    "birthDate": "1990-01-01T00:00:00.000Z",
}


# --- Records


async def get_record(pds: Pds, repo: str, headers: dict[str, str] | None = None) -> Reply:
    return await pds.get(GET_RECORD, headers, repo=repo, collection="com.example.note", rkey="a")


@pytest.mark.parametrize("repo", [STRANGER, "carol.example.com"])
async def test_a_record_of_a_stranger_is_asked_of_the_appview(
    pds: Pds, alice: Account, appview: Upstream, repo: str
) -> None:
    record = {"uri": f"at://{STRANGER}/com.example.note/a", "value": {"n": 1}}
    appview.answers_json(record, X_Secret="1")
    for headers in ({}, alice.auth, {"Authorization": "nonsense"}):
        reply = await get_record(pds, repo, headers)
        assert (reply.status, reply.json) == (200, record)
        assert "Cache-Control" not in reply.headers
        assert "X-Secret" not in reply.headers
        assert appview.last.path.startswith(f"/xrpc/{GET_RECORD}?repo={repo}&")
        assert "Authorization" not in appview.last.headers


@pytest.mark.parametrize("state", ["takendown", "deactivated"])
async def test_a_record_of_an_inactive_account_is_asked_of_the_appview(
    pds: Pds, alice: Account, appview: Upstream, state: str
) -> None:
    await make_inactive(pds, alice, state)
    appview.answers_json({"error": "RecordNotFound", "message": "Gone"}, status=400)
    reply = await get_record(pds, alice.did)
    assert reply.json == {"error": "RecordNotFound", "message": "Gone"}


async def test_a_record_that_an_account_here_does_not_have_is_asked_of_nobody(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    assert (await get_record(pds, alice.did)).error == (400, "RecordNotFound")
    assert appview.received == []


async def test_a_record_may_be_asked_of_a_named_service(
    pds: Pds, alice: Account, appview: Upstream, other: Upstream
) -> None:
    did = register_service(pds, {"thing": other.url})
    named = {**alice.auth, **via(did, "thing")}
    assert (await get_record(pds, STRANGER, named)).json == {"ok": True}
    assert "Authorization" not in other.last.headers
    bad = await get_record(pds, STRANGER, {"atproto-proxy": "foo"})
    assert bad.json["message"] == "no service id specified in proxy header"
    assert appview.received == []


async def test_nobody_without_an_account_has_requests_sent_to_a_named_service(
    pds: Pds, appview: Upstream, other: Upstream
) -> None:
    for did in (register_service(pds, {"thing": other.url}), other.did_web):
        named = via(did, "thing")
        assert (await get_record(pds, STRANGER, named)).error == (401, "AuthMissing")
        forged = {**named, "Authorization": "Bearer nonsense"}
        assert (await get_record(pds, STRANGER, forged)).error == (400, "InvalidToken")
    assert other.received == appview.received == []
    # Whom the settings know may be named by anybody.
    assert (await get_record(pds, STRANGER, via(APPVIEW_DID, "bsky_appview"))).status == 200


async def test_an_appview_that_fails_is_told(pds: Pds, appview: Upstream) -> None:
    appview.answer = slam
    reply = await get_record(pds, STRANGER)
    assert reply.json == {"error": "UpstreamFailure", "message": "Upstream service unreachable"}
    assert reply.status == 502


# --- Preferences


async def test_preferences_are_kept_here_for_our_own_appview(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    for headers in ({}, via(APPVIEW_DID, "bsky_appview")):
        named = {**alice.auth, **headers}
        assert (await pds.post(PUT_PREFERENCES, {"preferences": [ADULT]}, named)).status == 200
        assert (await pds.get(GET_PREFERENCES, named)).json == {"preferences": [ADULT]}
    assert appview.received == []


async def test_preferences_at_another_appview_are_there(
    pds: Pds, alice: Account, appview: Upstream, other: Upstream
) -> None:
    did = register_service(pds, {"bsky_appview": other.url})
    named = {**alice.auth, **via(did, "bsky_appview")}
    reply = await pds.post(PUT_PREFERENCES, {"preferences": [ADULT], "more": 1}, named)
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert json.loads(other.last.body) == {"preferences": [ADULT], "more": 1}
    assert other.last.headers["Content-Type"] == "application/json"
    assert other.last.token_of(pds, alice)["lxm"] == PUT_PREFERENCES
    other.answers_json({"preferences": [BORN]})
    assert (await pds.get(GET_PREFERENCES, named)).json == {"preferences": [BORN]}
    claims = other.last.token_of(pds, alice)
    assert (claims["aud"], claims["lxm"]) == (did, GET_PREFERENCES)
    assert (await pds.get(GET_PREFERENCES, alice.auth)).json == {"preferences": []}
    assert appview.received == []


async def test_a_header_that_names_no_appview_is_refused(pds: Pds, alice: Account) -> None:
    named = {**alice.auth, "atproto-proxy": "foo"}
    for reply in (
        await pds.get(GET_PREFERENCES, named),
        await pds.post(PUT_PREFERENCES, {"preferences": [ADULT]}, named),
    ):
        assert reply.json["message"] == "no service id specified in proxy header"
    assert (await pds.get(GET_PREFERENCES, alice.auth)).json == {"preferences": []}


class TestTheModerationService:
    """Reads preferences with a token of its own."""

    KEY = K256PrivateKey.from_bytes(b"\x07" * 32)

    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str], mod_service: Upstream) -> dict[str, str]:
        multibase = self.KEY.did_key.removeprefix("did:key:")
        keys = [
            {"id": f"#{name}", "type": "Multikey", "publicKeyMultibase": multibase}
            for name in ("atproto", "atproto_label")
        ]
        did = mod_service.did_web
        mod_service.answers_json({"id": did, "verificationMethod": keys})
        return {**pds_environ, "PDS_MOD_SERVICE_DID": did}

    def auth(self, iss: str, *, lxm: str = GET_PREFERENCES, key: PrivateKey = KEY) -> Headers:
        jwt = create_service_jwt(
            key, iss=iss, aud="did:web:localhost", now_s=int(time.time()), lxm=lxm
        )
        return {"Authorization": f"Bearer {jwt}"}

    async def test_it_reads_what_an_account_has_set(
        self, pds: Pds, alice: Account, mod_service: Upstream
    ) -> None:
        await pds.post(PUT_PREFERENCES, {"preferences": [BORN]}, alice.auth)
        await make_inactive(pds, alice, "takendown")
        for iss in (mod_service.did_web, f"{mod_service.did_web}#atproto_labeler"):
            reply = await pds.get(GET_PREFERENCES, self.auth(iss), did=alice.did)
            assert reply.json["preferences"][0] == BORN

    async def test_it_has_to_name_an_account(
        self, pds: Pds, alice: Account, mod_service: Upstream
    ) -> None:
        auth = self.auth(mod_service.did_web)
        for named in ({}, {"did": "xx"}, {"did": "alice.test"}):
            reply = await pds.get(GET_PREFERENCES, auth, **named)
            assert reply.error == (400, "InvalidRequest")
            assert reply.json["message"] == "Invalid or missing did parameter"
        unknown = await pds.get(GET_PREFERENCES, auth, did=STRANGER)
        assert unknown.error == (400, "RepoNotFound")

    async def test_it_is_not_passed_on(
        self, pds: Pds, alice: Account, mod_service: Upstream, other: Upstream
    ) -> None:
        did = register_service(pds, {"bsky_appview": other.url})
        named = {**self.auth(mod_service.did_web), **via(did, "bsky_appview")}
        reply = await pds.get(GET_PREFERENCES, named, did=alice.did)
        assert reply.error == (400, "InvalidRequest")
        message = "Moderator requests cannot be proxied to other app views"
        assert reply.json["message"] == message
        assert other.received == []

    async def test_nobody_else_reads_them(
        self, pds: Pds, alice: Account, bob: Account, mod_service: Upstream
    ) -> None:
        did = mod_service.did_web
        bobs = self.auth(bob.did, key=pds.ctx.actor_store.key(bob.did))
        for auth, error in (
            (bobs, "UntrustedIss"),
            (self.auth(did, lxm="com.example.other"), "BadJwtLexiconMethod"),
            (self.auth(did, key=K256PrivateKey.from_bytes(b"\x08" * 32)), "BadJwtSignature"),
        ):
            reply = await pds.get(GET_PREFERENCES, auth, did=alice.did)
            assert reply.error == (401, error)
        await pds.post(PUT_PREFERENCES, {"preferences": [BORN]}, alice.auth)
        # The parameter means nothing in a session.
        reply = await pds.get(GET_PREFERENCES, bob.auth, did=alice.did)
        assert reply.json == {"preferences": []}


# --- Handles


async def test_the_appview_is_asked_for_handles_of_others(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answers_json({"did": STRANGER})
    reply = await pds.get(RESOLVE, handle="Carol.example.com")
    assert reply.json == {"did": STRANGER}
    assert appview.last.path == f"/xrpc/{RESOLVE}?handle=carol.example.com"
    assert "Authorization" not in appview.last.headers
    assert (await pds.get(RESOLVE, handle="alice.test")).json == {"did": alice.did}
    assert (await pds.get(RESOLVE, handle="nobody.test")).error == (400, "HandleNotFound")
    assert len(appview.received) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":"HandleNotFound"}'),
        (200, b"{}"),
        (200, b'{"did":"nonsense"}'),
        (200, b'{"did":5}'),
        (200, b"[]"),
        (200, b"{nope"),
        (500, b""),
    ],
)
async def test_a_handle_that_the_appview_does_not_know_is_looked_up(
    pds: Pds, appview: Upstream, status: int, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(handle: str) -> str:
        return f"did:web:{handle}"

    monkeypatch.setattr(pds.ctx.handle_resolver, "resolve", resolve)
    appview.answers_bytes(body, status=status)
    reply = await pds.get(RESOLVE, handle="carol.example.com")
    assert reply.json == {"did": "did:web:carol.example.com"}
    assert len(appview.received) == 1


class TestWithoutAnAppView:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {}

    async def test_records_of_strangers_are_not_found(self, pds: Pds, other: Upstream) -> None:
        did = register_service(pds, {"thing": other.url})
        for headers in ({}, via(did, "thing")):
            reply = await get_record(pds, STRANGER, headers)
            assert reply.error == (400, "InvalidRequest")
            assert reply.json["message"] == "Could not locate record"
        assert other.received == []

    async def test_preferences_are_kept_all_the_same(self, pds: Pds, alice: Account) -> None:
        assert (await pds.post(PUT_PREFERENCES, {"preferences": [ADULT]}, alice.auth)).status == 200
        assert (await pds.get(GET_PREFERENCES, alice.auth)).json == {"preferences": [ADULT]}

    async def test_any_appview_may_be_named(
        self, pds: Pds, alice: Account, other: Upstream
    ) -> None:
        did = register_service(pds, {"bsky_appview": other.url})
        named = {**alice.auth, **via(did, "bsky_appview")}
        assert (await pds.get(GET_PREFERENCES, named)).json == {"ok": True}
