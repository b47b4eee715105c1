"""Services of others: real HTTP servers that keep what they were sent, with DIDs of their own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDictProxy

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from repo.keys import K256PrivateKey, parse_did_key
from repo.syntax import Did
from tests.pds.conftest import Account, Pds

APPVIEW_DID = "did:web:appview.example.com"
JSON_TYPE = {"Content-Type": "application/json"}


def set_patience(pds: Pds, seconds: float) -> None:
    """Let services have so long before they say anything, and from part to part."""
    for name in ("headers_timeout_ms", "body_timeout_ms"):
        object.__setattr__(pds.ctx.settings.proxy, name, int(seconds * 1000))


def hurry(pds: Pds) -> None:
    """Give up on services soon, for tests of those that keep silent."""
    set_patience(pds, 0.15)


@dataclass(slots=True, frozen=True)
class Received:
    """A request that a service was sent, read to its end."""

    method: str
    path: str
    """With the query, as it stood in the request line."""
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def claims(self) -> dict[str, Any]:
        """What the service token says; nothing of it is checked."""
        return dict(decode_part(self._token().split(".")[1]))

    def token_of(self, pds: Pds, account: Account) -> dict[str, Any]:
        """The claims of the service token, which is signed by the account's key."""
        signed, _, signature = self._token().rpartition(".")
        key = parse_did_key(pds.ctx.actor_store.key(account.did).did_key)
        assert key.verify(signed.encode(), _unbase64(signature))
        assert decode_part(signed.split(".")[0]) == {"typ": "JWT", "alg": "ES256K"}
        return self.claims

    def _token(self) -> str:
        scheme, _, token = self.headers["Authorization"].partition(" ")
        assert scheme == "Bearer"
        return token


Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Upstream:
    """A running service. It answers all requests with `answer`, once it has read their bodies."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Answerer | None = None
    unread: Answerer | None = None
    """Answers in place of `answer`, with the body still to come."""

    @property
    def last(self) -> Received:
        return self.received[-1]

    @property
    def did_web(self) -> str:
        """The did:web whose document this service is asked for."""
        return f"did:web:localhost%3A{self.url.rpartition(':')[2]}"

    def answers(self, response: Callable[[], web.StreamResponse]) -> None:
        """Answer every request with a new `response`."""

        async def answer(_: web.Request) -> web.StreamResponse:
            return response()

        self.answer = answer

    def answers_bytes(
        self, body: bytes, *, status: int = 200, headers: Mapping[str, str] = {}
    ) -> None:
        """Answer every request with the same."""
        self.answers(lambda: web.Response(status=status, body=body, headers=headers))

    def answers_json(self, value: Any, *, status: int = 200, **headers: str) -> None:
        """Answer every request with JSON; `Some_Name` becomes the header Some-Name."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.answers_bytes(orjson.dumps(value), status=status, headers=JSON_TYPE | named)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.unread is not None:
            return await self.unread(request)
        body = await request.read()
        self.received.append(Received(request.method, request.raw_path, request.headers, body))
        if self.answer is None:
            return web.Response(body=b'{"ok":true}', headers=JSON_TYPE)
        return await self.answer(request)


@asynccontextmanager
async def run_upstream() -> AsyncIterator[Upstream]:
    """Start a service on a free port."""
    upstream = Upstream()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    # Cancelled handlers tell the test that their client has left.
    runner = web.AppRunner(
        app, auto_decompress=False, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield upstream
    finally:
        await runner.cleanup()


class Endless:
    """An answer that goes on and on; `ended` tells that it is no longer taken in."""

    def __init__(self, part: bytes = bytes(100_000)) -> None:
        self.ended = asyncio.Event()
        self._part = part

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(self._part)
        finally:
            self.ended.set()


class Hang:
    """An answer that never comes; events tell that it is waited for, and no longer."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, _: web.Request) -> web.StreamResponse:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError


async def slam(request: web.Request) -> web.StreamResponse:
    """Close the connection instead of an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def register_service(pds: Pds, services: dict[str, str], *, kind: str = "ExampleService") -> Did:
    """A DID whose document has services of a kind, by id and URL."""
    key = K256PrivateKey.generate()
    data = PlcData(
        rotation_keys=(key.did_key,),
        verification_methods={"atproto": key.did_key},
        also_known_as=(),
        services={name: PlcService(kind, url) for name, url in services.items()},
    )
    operation = PlcOperation.sign(data, prev=None, key=key)
    did = operation.did()
    pds.plc.append(did, operation)
    return did


def via(did: str, service_id: str) -> dict[str, str]:
    """The header that names a service."""
    return {"atproto-proxy": f"{did}#{service_id}"}


def decode_part(part: str) -> Any:
    """A part of a JWT."""
    return orjson.loads(_unbase64(part))


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
