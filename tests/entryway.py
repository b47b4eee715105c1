"""An entryway for tests: a real HTTP server that owns logins, and has accounts on one PDS.

It speaks to the PDS and to the PLC directory over HTTP only, so that any PDS can stand behind it.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.config import Settings
from repo.keys import K256PrivateKey, K256PublicKey, PrivateKey, parse_did_key
from repo.syntax import Did

DID: Final = "did:web:entryway.example.com"
PDS_ADMIN: Final = "admin-pass"
OWN_ADMIN: Final = "entryway-admin-pass"

_SERVER: Final = "com.atproto.server."
_CANNED: Final[dict[str, Any]] = {
    "com.atproto.admin.sendEmail": {"sent": True},
    "com.atproto.identity.signPlcOperation": {"operation": {"type": "signed elsewhere"}},
    "com.atproto.server.createAppPassword": {
        "name": "app",
        "password": "abcd-efgh-ijkl-mnop",
        "createdAt": "2026-01-01T00:00:00.000Z",
    },
    "com.atproto.server.getAccountInviteCodes": {"codes": []},
    "com.atproto.server.listAppPasswords": {"passwords": []},
    "com.atproto.server.requestEmailUpdate": {"tokenRequired": True},
    "com.atproto.temp.checkSignupQueue": {"activated": False, "placeInQueue": 7},
}
"""Answers of methods whose work is nothing to the PDS."""

Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, frozen=True)
class Asked:
    """A request that the entryway was sent."""

    verb: str
    path: str
    """With its query."""
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def nsid(self) -> str:
        return self.path.partition("?")[0].rpartition("/")[2]

    @property
    def json(self) -> Any:
        return orjson.loads(self.body) if self.body else None

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")

    @property
    def claims(self) -> Any:
        """What the token of the request says."""
        assert self.authorization is not None
        return decode(self.authorization.split(".")[1])


@dataclass(slots=True)
class Login:
    """An account as the entryway knows it."""

    did: Did
    handle: str
    password: str
    signing_key: str
    """The did:key of its repository."""


@dataclass(slots=True)
class Entryway:
    """A running entryway. `answer`, if set, answers everything in place of what it does itself."""

    url: str = ""
    pds_url: str = ""
    pds_public_url: str = ""
    pds_did: str = ""
    plc_url: str = ""
    jwt_key: PrivateKey = field(default_factory=K256PrivateKey.generate)
    rotation_key: PrivateKey = field(default_factory=K256PrivateKey.generate)
    logins: dict[str, Login] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    """What references in tokens stand for."""
    asked: list[Asked] = field(default_factory=list)
    answer: Answerer | None = None
    _http: aiohttp.ClientSession | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a server behind it."""
        return {
            "PDS_ENTRYWAY_URL": self.url,
            "PDS_ENTRYWAY_DID": DID,
            "PDS_ENTRYWAY_JWT_VERIFY_KEY_K256_PUBLIC_KEY_HEX": self.jwt_key.public.point.hex(),
            "PDS_ENTRYWAY_PLC_ROTATION_KEY": self.rotation_key.did_key,
            "PDS_ENTRYWAY_ADMIN_TOKEN": OWN_ADMIN,
        }

    @property
    def last(self) -> Asked:
        return self.asked[-1]

    def belongs_to(self, pds_url: str, settings: Settings) -> None:
        """Put accounts on the PDS at a URL, which has these settings."""
        self.pds_url = pds_url
        self.pds_public_url = settings.public_url
        self.pds_did = settings.service_did
        self.plc_url = settings.identity.plc_url

    # --- Tokens

    def access(self, did: str, scope: str = "com.atproto.access", **claims: Any) -> str:
        """An access token for the PDS."""
        now_s = int(time.time())
        usual = {"scope": scope, "sub": did, "aud": self.pds_did, "iat": now_s, "exp": now_s + 7200}
        return sign(self.jwt_key, "at+jwt", usual | claims)

    def oauth_access(self, did: str, jkt: str, scope: str = "atproto", **claims: Any) -> str:
        """An access token of an OAuth client for the PDS. A claim that is None is left out."""
        now_s = int(time.time())
        usual = {
            "jti": f"tok-{secrets.token_hex(16)}",
            "sub": did,
            "iat": now_s,
            "exp": now_s + 3600,
            "aud": self.pds_did,
            "cnf": {"jkt": jkt},
            "client_id": "http://localhost",
            "iss": self.url,
            "scope": scope,
        }
        told = {name: value for name, value in (usual | claims).items() if value is not None}
        return sign(self.jwt_key, "at+jwt", told)

    def refresh(self, did: str, **claims: Any) -> str:
        """A refresh token, for the entryway itself."""
        now_s = int(time.time())
        usual = {
            "scope": "com.atproto.refresh",
            "sub": did,
            "aud": DID,
            "jti": secrets.token_hex(8),
            "iat": now_s,
            "exp": now_s + 7200,
        }
        return sign(self.jwt_key, "refresh+jwt", usual | claims)

    # --- Accounts

    async def reserve_key(self, did: str | None = None) -> str:
        """Have the PDS reserve a signing key; its did:key."""
        answer = await self.call_pds(f"{_SERVER}reserveSigningKey", {"did": did} if did else {})
        return str(answer["signingKey"])

    def genesis(self, handle: str, signing_key: str, **changes: Any) -> PlcOperation:
        """The first operation of an account on the PDS."""
        data = {
            "rotation_keys": (self.rotation_key.did_key,),
            "verification_methods": {"atproto": signing_key},
            "also_known_as": (f"at://{handle}",),
            "services": {
                "atproto_pds": PlcService("AtprotoPersonalDataServer", self.pds_public_url)
            },
        }
        return PlcOperation.sign(PlcData(**(data | changes)), prev=None, key=self.rotation_key)

    async def sign_up(self, handle: str, password: str) -> Login:
        """Make an account, as a client of the entryway would."""
        signing_key = await self.reserve_key()
        operation = self.genesis(handle, signing_key)
        did = operation.did()
        await self.call_pds(
            f"{_SERVER}createAccount",
            {"did": did, "handle": handle, "plcOp": operation.to_json()},
        )
        login = self.logins[did] = Login(did, handle, password, signing_key)
        return login

    async def change_did(self, did: str, handle: str) -> None:
        """Let a DID name another handle."""
        assert self._http is not None
        async with self._http.get(f"{self.plc_url}/{did}/log/last") as response:
            last = PlcOperation.parse(await response.json())
        assert last.data is not None
        operation = PlcOperation.sign(
            last.data.with_handle(handle), prev=last.cid, key=self.rotation_key
        )
        async with self._http.post(f"{self.plc_url}/{did}", json=operation.to_json()) as response:
            assert response.status == 200, await response.text()

    async def call_pds(self, nsid: str, body: Any, *, as_admin: bool = False) -> Any:
        """Call a procedure of the PDS. Raises `Refused` with what that answers."""
        assert self._http is not None
        headers = _basic(PDS_ADMIN) if as_admin else {}
        url = f"{self.pds_url}/xrpc/{nsid}"
        async with self._http.post(url, json=body, headers=headers) as response:
            raw = await response.read()
            if response.status != 200:
                raise Refused(response.status, orjson.loads(raw))
            return orjson.loads(raw) if raw else None

    # --- Serving

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if self.answer is not None:
            return await self.answer(request)
        asked = Asked(request.method, request.raw_path, request.headers, await request.read())
        self.asked.append(asked)
        try:
            return web.json_response(await self._serve(asked))
        except Refused as exc:
            return web.json_response(exc.json, status=exc.status)

    async def _serve(self, asked: Asked) -> Any:
        own = {
            f"{_SERVER}createSession": self._create_session,
            "com.atproto.temp.dereferenceScope": self._dereference,
            f"{_SERVER}refreshSession": self._refresh_session,
            f"{_SERVER}getSession": self._get_session,
            f"{_SERVER}activateAccount": self._activate,
            f"{_SERVER}deactivateAccount": self._deactivate,
            f"{_SERVER}deleteAccount": self._delete,
            "com.atproto.identity.updateHandle": self._update_handle,
        }
        if asked.nsid in own:
            return await own[asked.nsid](asked)
        return _CANNED.get(asked.nsid, {})

    async def _create_session(self, asked: Asked) -> Any:
        body = asked.json
        for login in self.logins.values():
            named = body["identifier"] in (login.did, login.handle)
            if named and body["password"] == login.password:
                return self._session(login)
        raise _refused(401, "AuthenticationRequired", "Invalid identifier or password")

    async def _dereference(self, asked: Asked) -> Any:
        name = URL(asked.path, encoded=True).query["scope"]
        if name not in self.scopes:
            raise _refused(400, "InvalidScopeReference", "Unknown scope")
        return {"scope": self.scopes[name]}

    async def _refresh_session(self, asked: Asked) -> Any:
        return self._session(self.logins[asked.claims["sub"]])

    async def _get_session(self, asked: Asked) -> Any:
        login = self.authenticate(asked)
        return {"did": login.did, "handle": login.handle, "email": "a@example.com", "active": True}

    async def _activate(self, asked: Asked) -> None:
        await self._set_deactivated(asked.claims["sub"], applied=False)

    async def _deactivate(self, asked: Asked) -> None:
        await self._set_deactivated(self.authenticate(asked).did, applied=True)

    async def _set_deactivated(self, did: str, *, applied: bool) -> None:
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": did}
        await self.call_pds(
            "com.atproto.admin.updateSubjectStatus",
            {"subject": subject, "deactivated": {"applied": applied}},
            as_admin=True,
        )

    async def _delete(self, asked: Asked) -> None:
        body = asked.json
        if self.logins[body["did"]].password != body["password"] or body["token"] != "CODE1-CODE2":
            raise _refused(401, "AuthenticationRequired", "Invalid did or password")
        await self.call_pds("com.atproto.admin.deleteAccount", {"did": body["did"]}, as_admin=True)

    async def _update_handle(self, asked: Asked) -> None:
        login, body = self.authenticate(asked), asked.json
        assert body["did"] == login.did
        await self.change_did(login.did, body["handle"])
        await self.call_pds("com.atproto.admin.updateAccountHandle", body, as_admin=True)
        login.handle = body["handle"]

    def authenticate(self, asked: Asked) -> Login:
        """Who has signed the service token of a request, which is for this method only."""
        scheme, _, token = (asked.authorization or "").partition(" ")
        assert scheme == "Bearer"
        signed, _, signature = token.rpartition(".")
        claims = decode(token.split(".")[1])
        login = self.logins[claims["iss"]]
        assert (claims["aud"], claims["lxm"]) == (DID, asked.nsid)
        assert claims["exp"] > time.time()
        assert parse_did_key(login.signing_key).verify(signed.encode(), unbase64(signature))
        return login

    def _session(self, login: Login) -> Any:
        return {
            "did": login.did,
            "handle": login.handle,
            "accessJwt": self.access(login.did),
            "refreshJwt": self.refresh(login.did),
            "active": True,
        }


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, json: Any) -> None:
        self.status = status
        self.json = json
        super().__init__(status, json)


def _basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'admin:{password}'.encode()).decode()}"}


def _refused(status: int, error: str, message: str) -> Refused:
    return Refused(status, {"error": error, "message": message})


@asynccontextmanager
async def run_entryway() -> AsyncIterator[Entryway]:
    """Start an entryway on a free port; which PDS it has is for the caller to set."""
    entryway = Entryway()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", entryway.handle)
    # Cancelled handlers tell the test that their client has left.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    async with aiohttp.ClientSession() as entryway._http:
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            entryway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield entryway
        finally:
            await runner.cleanup()


@contextmanager
def entryway_in_thread() -> Iterator[tuple[Entryway, Callable[[Awaitable[Any]], Any]]]:
    """Start an entryway in a thread of its own, and give what runs a coroutine in it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def wait_for(awaitable: Awaitable[Any]) -> Any:
        return await awaitable

    def run(awaitable: Awaitable[Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(wait_for(awaitable), loop).result(60)

    running = run_entryway()
    try:
        yield run(running.__aenter__()), run
        run(running.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def answering(**response: Any) -> Answerer:
    """Answers every request with a new response of these arguments."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**response)

    return answer


def sign(key: PrivateKey, typ: str | None, claims: Any, *, alg: str | None = None) -> str:
    """A JWT. Its signature has the higher value of s half the time, as other libraries' have."""
    header = {"alg": alg or key.jwt_alg, **({} if typ is None else {"typ": typ})}
    signed = b".".join(base64url(orjson.dumps(part)) for part in (header, claims))
    signature = key.sign(signed)
    if secrets.randbelow(2):
        signature = with_high_s(signature)
    return (signed + b"." + base64url(signature)).decode()


def with_high_s(signature: bytes) -> bytes:
    """The other spelling of a K-256 signature."""
    s = K256PublicKey._order - int.from_bytes(signature[32:])
    return signature[:32] + s.to_bytes(32)


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def decode(part: str) -> Any:
    """A part of a JWT."""
    return orjson.loads(unbase64(part))
