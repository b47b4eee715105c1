"""The Authorization header: which tokens are accepted where, and what refusals say."""

from __future__ import annotations

import base64
import time
import warnings
from collections.abc import Callable
from typing import Any

import jwt
import orjson
import pytest

from pds.accounts.scopes import SessionScope
from pds.accounts.session_tokens import SessionTokens
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply, basic_auth

SESSION = "com.atproto.server.getSession"
REFRESH = "com.atproto.server.refreshSession"
UPLOAD = "com.atproto.repo.uploadBlob"
HEAD = "com.atproto.sync.getHead"
CREATE_ACCOUNT = "com.atproto.server.createAccount"
INVITE = "com.atproto.server.createInviteCode"
SECRET = "jwt-secret"
NOT_VERIFIED = "Token could not be verified"
MALFORMED = "Malformed token"


def claims(did: str, **changes: Any) -> dict[str, Any]:
    """The claims of an access token; a change to None leaves one out."""
    now_s = int(time.time())
    whole = {
        "scope": "com.atproto.access",
        "aud": "did:web:localhost",
        "sub": did,
        "iat": now_s,
        "exp": now_s + 60,
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def sign(
    payload: dict[str, Any], *, typ: str | None = "at+jwt", key: str = SECRET, alg: str = "HS256"
) -> str:
    """A JWT as somebody else's library makes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the shortness of the key
        return jwt.encode(payload, key, algorithm=alg, headers={"typ": typ})


def encode(part: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=")


async def ask(pds: Pds, header: str | None, nsid: str = SESSION, **params: str) -> Reply:
    headers = None if header is None else {"Authorization": header}
    return await pds.request("GET", f"/xrpc/{nsid}", headers=headers, params=params)


# --- Forms of the header


@pytest.mark.parametrize(
    ("form", "status", "error", "message"),
    [
        (None, 401, "AuthMissing", "Authentication Required"),
        ("", 400, "InvalidToken", "Malformed authorization header"),
        ("Bearer", 400, "InvalidToken", "Malformed authorization header"),
        ("Bearer  {token}", 400, "InvalidToken", "Malformed authorization header"),
        ("Bearer {token} x", 400, "InvalidToken", "Malformed authorization header"),
        ("{token}", 400, "InvalidToken", "Malformed authorization header"),
        ("Foo {token}", 400, "InvalidToken", "Unsupported authorization type: Foo"),
        ("Basic {token}", 400, "InvalidToken", "Unexpected authorization type"),
        ("DPoP {token}", 401, "invalid_token", 'unexpected "iss" claim value'),
        ("Bearer x{token}", 400, "InvalidToken", NOT_VERIFIED),
        ("Bearer {token},", 400, "InvalidToken", NOT_VERIFIED),
        ("Bearer .", 400, "InvalidToken", NOT_VERIFIED),
        ("Bearer ..", 400, "InvalidToken", NOT_VERIFIED),
        ("Bearer \u00e9", 400, "InvalidToken", NOT_VERIFIED),
    ],
)
async def test_a_header_of_another_form_is_refused(
    pds: Pds, alice: Account, form: str | None, status: int, error: str, message: str
) -> None:
    header = None if form is None else form.format(token=alice.access_jwt)
    reply = await ask(pds, header)
    assert (reply.status, reply.json) == (status, {"error": error, "message": message})


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_of_any_letter_case(pds: Pds, alice: Account, scheme: str) -> None:
    assert (await ask(pds, f"{scheme} {alice.access_jwt}")).status == 200


# --- Session tokens


def _of_another_server(did: str) -> str:
    tokens = SessionTokens(jwt_secret=SECRET, service_did="did:web:other.example.com")
    return tokens.create_access(Did(did), SessionScope.ACCESS)


def _with_another_secret(did: str) -> str:
    tokens = SessionTokens(jwt_secret="another", service_did="did:web:localhost")
    return tokens.create_access(Did(did), SessionScope.ACCESS)


def _unsigned(did: str) -> str:
    return f"{encode({'alg': 'none', 'typ': 'at+jwt'})}.{encode(claims(did))}."


def _with_changed_claims(did: str) -> str:
    head, _, signature = sign(claims("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")).split(".")
    return f"{head}.{encode(claims(did))}.{signature}"


def _with_nested_header(did: str) -> str:
    deep = base64.urlsafe_b64encode(b"[" * 4_000).decode().rstrip("=")
    return f"{deep}.{encode(claims(did))}.AAAA"


FORGERIES: list[tuple[Callable[[str], str], str, str]] = [
    (_of_another_server, "InvalidToken", NOT_VERIFIED),
    (_with_another_secret, "InvalidToken", NOT_VERIFIED),
    (_unsigned, "InvalidToken", NOT_VERIFIED),
    (_with_changed_claims, "InvalidToken", NOT_VERIFIED),
    (_with_nested_header, "InvalidToken", NOT_VERIFIED),
    (lambda did: sign(claims(did), alg="HS512"), "InvalidToken", NOT_VERIFIED),
    (lambda did: sign(claims(did), typ="JWT"), "InvalidToken", NOT_VERIFIED),
    (lambda did: sign(claims(did), typ=None), "InvalidToken", NOT_VERIFIED),
    (lambda did: sign(claims(did), typ="refresh+jwt"), "InvalidToken", NOT_VERIFIED),
    (lambda did: sign(claims(did, aud=None)), "InvalidToken", NOT_VERIFIED),
    (lambda did: sign(claims(did, exp=None)), "InvalidToken", NOT_VERIFIED),
    (lambda did: sign(claims(did, exp=int(time.time()))), "ExpiredToken", "Token has expired"),
    (lambda did: sign(claims(did, exp=1)), "ExpiredToken", "Token has expired"),
    (lambda did: sign(claims(did, sub=None)), "InvalidToken", MALFORMED),
    (lambda _: sign(claims("alice.test")), "InvalidToken", MALFORMED),
    (lambda did: sign(claims(did, lxm=SESSION)), "InvalidToken", MALFORMED),
    (lambda did: sign(claims(did, cnf={"jkt": "x"})), "InvalidToken", MALFORMED),
    (lambda did: sign(claims(did, jti=5)), "InvalidToken", MALFORMED),
    (lambda did: sign(claims(did, scope=None)), "InvalidToken", "Bad token scope"),
    (lambda did: sign(claims(did, scope="com.atproto.all")), "InvalidToken", "Bad token scope"),
    (
        lambda did: sign(claims(did, scope="com.atproto.refresh")),
        "InvalidToken",
        "Bad token scope",
    ),
    (
        lambda did: sign(claims(did, scope="com.atproto.takendown")),
        "InvalidToken",
        "Bad token scope",
    ),
]


@pytest.mark.parametrize(("forge", "error", "message"), FORGERIES)
async def test_forged_and_foreign_tokens_are_refused(
    pds: Pds, alice: Account, forge: Callable[[str], str], error: str, message: str
) -> None:
    reply = await ask(pds, f"Bearer {forge(alice.did)}")
    assert (reply.status, reply.json) == (400, {"error": error, "message": message})


async def test_a_token_of_the_reference_s_form_is_accepted(pds: Pds, alice: Account) -> None:
    """So the forgeries fail for what is forged in them."""
    assert (await ask(pds, f"Bearer {sign(claims(alice.did))}")).status == 200


async def test_a_token_is_good_for_one_purpose(pds: Pds, alice: Account) -> None:
    not_verified = {"error": "InvalidToken", "message": NOT_VERIFIED}
    assert (await ask(pds, f"Bearer {alice.refresh_jwt}")).json == not_verified
    assert (await pds.post(REFRESH, headers=alice.auth)).json == not_verified


async def test_a_refresh_token_must_name_its_session(pds: Pds, alice: Account) -> None:
    token = sign(claims(alice.did, scope="com.atproto.refresh"), typ="refresh+jwt")
    reply = await pds.post(REFRESH, headers={"Authorization": f"Bearer {token}"})
    assert (reply.status, reply.json) == (
        401,
        {"error": "MissingTokenId", "message": "Unexpected missing refresh token id"},
    )


async def test_a_session_known_to_be_good_still_expires(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await ask(pds, f"Bearer {alice.access_jwt}")).status == 200
    later = time.time() + 3 * 60 * 60
    monkeypatch.setattr(pds.ctx.session_tokens, "_clock", lambda: later)
    reply = await ask(pds, f"Bearer {alice.access_jwt}")
    assert reply.error == (400, "ExpiredToken")


@pytest.mark.parametrize("scope", list(SessionScope))
async def test_each_scope_opens_what_it_is_for(
    pds: Pds, alice: Account, scope: SessionScope
) -> None:
    """A row for each of the sets of scopes that endpoints accept."""
    token = pds.ctx.session_tokens.create_access(Did(alice.did), scope)
    auth = {"Authorization": f"Bearer {token}"}
    opened = set()
    for name, reply in {
        "full": await pds.post("com.atproto.server.activateAccount", headers=auth),
        "standard": await pds.get("com.atproto.server.listAppPasswords", auth),
        "takendown": await pds.get("com.atproto.sync.listBlobs", auth, did=alice.did),
        "queued": await pds.get(SESSION, auth),
    }.items():
        if reply.status == 200:
            opened.add(name)
        else:
            assert reply.json == {"error": "InvalidToken", "message": "Bad token scope"}
    assert (
        opened
        == {
            SessionScope.ACCESS: {"full", "standard", "takendown", "queued"},
            SessionScope.REFRESH: set(),
            SessionScope.APP_PASS: {"standard", "takendown", "queued"},
            SessionScope.APP_PASS_PRIVILEGED: {"standard", "takendown", "queued"},
            SessionScope.TAKENDOWN: {"takendown"},
            SessionScope.SIGNUP_QUEUED: {"queued"},
        }[scope]
    )


# --- Where credentials may be left out


async def test_optional_credentials_are_still_checked(pds: Pds, alice: Account) -> None:
    assert (await ask(pds, None, HEAD, did=alice.did)).status == 200
    assert (await ask(pds, f"Bearer {alice.access_jwt}", HEAD, did=alice.did)).status == 200
    bad = await ask(pds, "Bearer nonsense", HEAD, did=alice.did)
    assert bad.error == (400, "InvalidToken")
    wrong = await ask(pds, basic_auth("admin", "wrong")["Authorization"], HEAD, did=alice.did)
    assert wrong.error == (401, "AuthenticationRequired")


async def test_where_none_are_needed_the_header_is_not_looked_at(pds: Pds) -> None:
    for nsid in ("com.atproto.server.describeServer", "com.atproto.sync.listRepos"):
        assert (await ask(pds, "Bearer nonsense", nsid)).status == 200


# --- The administrator


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic YWRtaW4",
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Bearer admin-pass",
        basic_auth("admin", "")["Authorization"],
        basic_auth("admin", "admin-pas")["Authorization"],
        basic_auth("admin", "admin-pass ")["Authorization"],
        basic_auth("Admin", "admin-pass")["Authorization"],
        basic_auth("", "admin-pass")["Authorization"],
        basic_auth("admin", "pässwörd")["Authorization"],
    ],
)
async def test_only_the_administrator_s_password_opens(pds: Pds, header: str | None) -> None:
    headers = None if header is None else {"Authorization": header}
    reply = await pds.post(INVITE, {"useCount": 1}, headers)
    assert reply.status == 401
    assert reply.json == {"error": "AuthenticationRequired", "message": "Authentication Required"}


class TestWithAPasswordOfColons:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_ADMIN_PASSWORD": "a:b:ü"}

    async def test_it_opens(self, pds: Pds) -> None:
        for scheme in ("Basic", "basic"):
            encoded = basic_auth("admin", "a:b:ü")["Authorization"].removeprefix("Basic ")
            headers = {"Authorization": f"{scheme} {encoded}"}
            assert (await pds.post(INVITE, {"useCount": 1}, headers)).status == 200
        wrong = await pds.post(INVITE, {"useCount": 1}, basic_auth("admin", "a"))
        assert wrong.status == 401
