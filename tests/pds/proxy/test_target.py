"""Which service a request is passed on to, and which requests are not passed on at all."""

from __future__ import annotations

import pytest

from pds.lifecycle.states import delete_account
from repo.syntax import Did
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds
from tests.pds.identities import register_foreign_did
from tests.pds.proxy.conftest import MOD_DID
from tests.pds.upstream import APPVIEW_DID, Upstream, register_service, via

SEARCH = "app.bsky.actor.searchActors"
OZONE = "tools.ozone.moderation.queryEvents"
NO_DID = "could not resolve proxy did"


# --- Methods


@pytest.mark.parametrize(
    "nsid", [SEARCH, "chat.bsky.convo.getLog", "com.example.thing", "com.atproto.label.queryLabels"]
)
async def test_what_nobody_serves_here_goes_to_the_appview(
    pds: Pds, alice: Account, appview: Upstream, nsid: str
) -> None:
    reply = await pds.get(nsid, alice.auth, q="x")
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert appview.last.path == f"/xrpc/{nsid}?q=x"


async def test_methods_of_moderators_go_to_the_moderation_service(
    pds: Pds, alice: Account, appview: Upstream, mod_service: Upstream
) -> None:
    for nsid in (OZONE, "tools.ozone.team.listMembers", "tools.ozone.safelink.addRule"):
        assert (await pds.get(nsid, alice.auth)).status == 200
        assert mod_service.last.claims["aud"] == MOD_DID
        assert mod_service.last.claims["lxm"] == nsid
    assert appview.received == []


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST"])
async def test_a_subscription_over_http_goes_to_no_other_service(
    pds: Pds, alice: Account, appview: Upstream, other: Upstream, verb: str
) -> None:
    path = "/xrpc/com.atproto.sync.subscribeRepos"
    named = via(register_service(pds, {"thing": other.url}), "thing")
    for headers in ({}, alice.auth, alice.auth | via(APPVIEW_DID, "bsky_appview"), named):
        reply = await pds.request(verb, path, headers=headers)
        assert reply.status == (400 if verb == "POST" else 426)
    assert appview.received + other.received == []


async def test_nothing_is_passed_on_for_strangers(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    for headers, error in (
        ({}, (401, "AuthMissing")),
        ({"Authorization": "nonsense"}, (400, "InvalidToken")),
        ({"Authorization": "Bearer nonsense"}, (400, "InvalidToken")),
        (pds.admin, (400, "InvalidToken")),
        (alice.refresh_auth, (400, "InvalidToken")),
    ):
        reply = await pds.get(SEARCH, headers)
        assert reply.error == error
        assert reply.headers["Cache-Control"] == "private"
    assert appview.received == []


async def test_a_stranger_makes_the_server_look_up_nothing(pds: Pds, other: Upstream) -> None:
    did = register_service(pds, {"thing": other.url})
    assert (await pds.get(SEARCH, via(did, "thing"))).error == (401, "AuthMissing")
    assert pds.ctx.did_resolver.find_cached(did) is None


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "PATCH", "PROPFIND"])
async def test_other_verbs_are_refused(
    pds: Pds, alice: Account, appview: Upstream, verb: str
) -> None:
    reply = await pds.request(verb, f"/xrpc/{SEARCH}", headers=alice.auth)
    assert reply.status == 400
    assert reply.json["message"] == "XRPC requests only supports GET and POST"
    assert appview.received == []


async def test_a_path_that_is_no_nsid_is_refused(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    for nsid in ("foo", "com.example", "com.example.", "com.example.1st", "com..x.y", "a.b.c/d"):
        reply = await pds.get(nsid, alice.auth)
        assert reply.json == {"error": "InvalidRequest", "message": "invalid xrpc path"}
    assert appview.received == []


async def test_protected_methods_are_passed_on_for_nobody(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    for nsid in ("com.atproto.server.getsession", "COM.atproto.identity.signPlcOperation"):
        for headers in (alice.auth, {}, {**alice.auth, **via("did:web:x.example", "y")}):
            reply = await pds.post(nsid, {}, headers)
            assert reply.json == {"error": "InvalidToken", "message": "Bad token method"}
            assert reply.status == 400
    assert appview.received == []


async def test_privileged_methods_need_more_than_an_app_password(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    plain, privileged = [
        await app_password_auth(pds, alice, privileged=privileged) for privileged in (False, True)
    ]
    # The reference knows a list of methods, which those of the next month are not in.
    for nsid in (
        "chat.bsky.convo.getLog",
        "chat.bsky.convo.getlog",
        "CHAT.BSKY.convo.addReaction",
        "chat.bsky.moderation.getActorMetadata",
        "chat.bsky.group.createInTheNextMonth",
    ):
        refused = await pds.get(nsid, plain)
        assert (refused.status, refused.json["message"]) == (400, "Bad token method")
    assert appview.received == []
    assert (await pds.get("chat.bsky.convo.getLog", privileged)).status == 200
    for other in (SEARCH, "chat.bskyx.convo.getLog", "com.chat.bsky.getLog"):
        assert (await pds.get(other, plain)).status == 200


async def app_password_auth(pds: Pds, account: Account, *, privileged: bool) -> dict[str, str]:
    made = await pds.post(
        "com.atproto.server.createAppPassword",
        {"name": f"app {privileged}", "privileged": privileged},
        account.auth,
    )
    login = await pds.post(
        "com.atproto.server.createSession",
        {"identifier": account.did, "password": made.json["password"]},
    )
    return {"Authorization": f"Bearer {login.json['accessJwt']}"}


async def test_services_decide_about_deactivated_accounts_themselves(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    await make_inactive(pds, alice, "deactivated")
    assert (await pds.get(SEARCH, alice.auth)).status == 200
    assert appview.last.token_of(pds, alice)["iss"] == alice.did


async def test_an_account_that_is_gone_speaks_to_nobody(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    assert (await pds.get(SEARCH, alice.auth)).status == 200
    await delete_account(pds.ctx, Did(alice.did))
    assert (await pds.get(SEARCH, alice.auth)).error == (400, "RepoNotFound")
    assert len(appview.received) == 1


# --- The header


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("foo", "no service id specified in proxy header"),
        ("foo bar", "no service id specified in proxy header"),
        ("did:web:x.example", "no service id specified in proxy header"),
        ("did:web:x.example#", "no service id specified in proxy header"),
        ("#id", "no did specified in proxy header"),
        ("#", "no did specified in proxy header"),
        ("did:web:x.example#a#b", "invalid proxy header format"),
        (f"{APPVIEW_DID}#bsky_appview#", "invalid proxy header format"),
        ("did:web:x.example #a", "proxy header cannot contain spaces"),
        ("did:web:x.example#a b", "proxy header cannot contain spaces"),
        ("x#a", NO_DID),
        ("did:example:x#a", NO_DID),
        ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa#a", NO_DID),
        ("did:plc:short#a", NO_DID),
        ("did:web:nowhere.invalid#a", NO_DID),
        (f"{APPVIEW_DID}/x#bsky_appview", NO_DID),
    ],
)
async def test_a_header_that_names_no_service_is_refused(
    pds: Pds, alice: Account, appview: Upstream, header: str, message: str
) -> None:
    reply = await pds.get(SEARCH, {**alice.auth, "atproto-proxy": header})
    assert (reply.status, reply.json) == (400, {"error": "InvalidRequest", "message": message})
    assert appview.received == []


async def test_a_service_that_the_document_does_not_have_is_refused(
    pds: Pds, alice: Account, other: Upstream
) -> None:
    did = register_service(pds, {"thing": other.url})
    for name in ("Thing", "thin", "atproto"):
        reply = await pds.get(SEARCH, {**alice.auth, **via(did, name)})
        assert reply.json["message"] == "could not resolve proxy did service url"
        assert reply.error == (400, "InvalidRequest")
    assert other.received == []


async def test_the_named_service_gets_the_request(
    pds: Pds, alice: Account, appview: Upstream, other: Upstream
) -> None:
    did = register_service(pds, {"thing": other.url, "same": appview.url})
    for nsid in (SEARCH, OZONE, "com.example.thing"):
        assert (await pds.get(nsid, {**alice.auth, **via(did, "thing")})).status == 200
        assert other.last.path == f"/xrpc/{nsid}"
        claims = other.last.token_of(pds, alice)
        assert (claims["aud"], claims["lxm"]) == (did, nsid)
    assert appview.received == []


async def test_a_did_web_says_where_it_is(pds: Pds, alice: Account, other: Upstream) -> None:
    service = {"id": "#thing", "type": "Example", "serviceEndpoint": other.url}
    other.answers_json({"id": other.did_web, "service": [service]})
    assert (await pds.get(SEARCH, {**alice.auth, **via(other.did_web, "thing")})).status == 200
    assert [one.path for one in other.received] == ["/.well-known/did.json", f"/xrpc/{SEARCH}"]
    assert other.last.claims["aud"] == other.did_web


async def test_our_own_appview_is_not_looked_up(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    """Its DID does not exist, and its URL is the operator's."""
    headers = {**alice.auth, **via(APPVIEW_DID, "bsky_appview")}
    assert (await pds.get(SEARCH, headers)).status == 200
    assert appview.last.claims["aud"] == APPVIEW_DID
    refused = await pds.get(SEARCH, {**alice.auth, **via(APPVIEW_DID, "other")})
    assert refused.json["message"] == NO_DID


async def test_an_empty_header_names_nothing(pds: Pds, alice: Account, appview: Upstream) -> None:
    assert (await pds.get(SEARCH, {**alice.auth, "atproto-proxy": ""})).status == 200
    assert len(appview.received) == 1


async def test_a_service_may_live_below_a_path(pds: Pds, alice: Account, other: Upstream) -> None:
    did = register_service(pds, {"thing": f"{other.url}/deep/"})
    assert (await pds.get(SEARCH, {**alice.auth, **via(did, "thing")}, q="1")).status == 200
    assert other.last.path == f"/deep/xrpc/{SEARCH}?q=1"


@pytest.mark.parametrize("tail", ["/?x=", "/#x", "/?x=1#y"])
async def test_a_url_that_would_swallow_the_path_is_refused(
    pds: Pds, alice: Account, other: Upstream, tail: str
) -> None:
    did = register_service(pds, {"thing": other.url + tail})
    reply = await pds.get(SEARCH, {**alice.auth, **via(did, "thing")})
    assert reply.error == (502, "UpstreamFailure")
    assert other.received == []


async def test_an_account_elsewhere_is_no_service(pds: Pds, alice: Account) -> None:
    did = register_foreign_did(pds).did
    reply = await pds.get(SEARCH, {**alice.auth, **via(did, "bsky_appview")})
    assert reply.json["message"] == "could not resolve proxy did service url"


# --- Settings


class TestWithoutServices:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {}

    async def test_a_method_without_a_service_is_refused(self, pds: Pds, alice: Account) -> None:
        for nsid in (SEARCH, OZONE, "com.example.thing"):
            for headers in (alice.auth, {}):
                reply = await pds.get(nsid, headers)
                assert reply.error == (400, "InvalidRequest")
                assert reply.json["message"] == f"No service configured for {nsid}"

    async def test_a_named_service_is_reached_all_the_same(
        self, pds: Pds, alice: Account, other: Upstream
    ) -> None:
        did = register_service(pds, {"bsky_appview": other.url})
        headers = {**alice.auth, **via(did, "bsky_appview")}
        assert (await pds.get(SEARCH, headers)).status == 200
        assert other.last.claims["aud"] == did


class TestWithSsrfProtection:
    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str]) -> dict[str, str]:
        return {**pds_environ, "PDS_DISABLE_SSRF_PROTECTION": "false"}

    async def test_services_of_strangers_are_public_and_speak_https(
        self, pds: Pds, alice: Account, other: Upstream
    ) -> None:
        port = other.url.rpartition(":")[2]
        for url in (
            other.url,
            f"https://127.0.0.1:{port}",
            f"https://localhost:{port}",
            f"https://2130706433:{port}",
            f"https://[::ffff:127.0.0.1]:{port}",
            "https://169.254.169.254",
            "https://user:secret@example.com",
        ):
            did = register_service(pds, {"thing": url})
            reply = await pds.get(SEARCH, {**alice.auth, **via(did, "thing")})
            assert reply.error == (502, "UpstreamFailure"), url
        assert other.received == []

    async def test_services_of_the_operator_may_be_private(
        self, pds: Pds, alice: Account, appview: Upstream
    ) -> None:
        assert (await pds.get(SEARCH, alice.auth)).status == 200
        assert len(appview.received) == 1
