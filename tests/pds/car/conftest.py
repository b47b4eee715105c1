"""Servers that exports ask: one that says whatever a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from identity.http import SafeHttp
from identity.plc import PlcClient
from pds.car.account_lookup import Account
from pds.car.remote import RemotePds, Retries
from pds.server.app import make_runner
from repo.keys import PublicKey
from repo.syntax import Did
from tests.pds.car.cars import DID, KEY


@dataclass(slots=True)
class ScriptedPds:
    """Answers each method with the next of its answers, and with the last one again and again.

    An answer is the bytes of a success, the status of a failure, or a response.
    """

    http: SafeHttp
    port: int = 0
    answers: dict[str, list[bytes | int | web.Response]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    choose: Callable[[dict[str, str]], bytes] | None = None
    """Chooses an answer by the parameters, in place of the next one."""
    silent: bool = False
    """Whether it says nothing until it stops."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    cut: int = 0
    """How many of the next answers break off in the middle."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def retries(self) -> Retries:
        return Retries(sleep=self.pause)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def account(self, *, key: PublicKey | None = KEY.public, trusted: bool = True) -> Account:
        """Alice's account there."""
        pds = RemotePds(self.http, self.url, trusted=trusted)
        return Account(Did(DID), pds, PlcClient(self.url, self.http), key)

    def methods(self) -> list[str]:
        """The methods asked for, in order, by their last name."""
        return [nsid.rpartition(".")[2] for nsid, _ in self.asked]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        nsid = request.path.removeprefix("/xrpc/")
        self.asked.append((nsid, dict(request.query)))
        answers = self.answers[nsid.rpartition(".")[2]]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if self.choose is not None:
            answer = self.choose(dict(request.query))
        if isinstance(answer, web.Response):
            return answer
        if isinstance(answer, int):
            return web.json_response({"error": "Oops", "message": "no luck"}, status=answer)
        if self.silent:
            await self.released.wait()
        if not self.cut:
            return web.Response(body=answer)
        self.cut -= 1
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(answer[: len(answer) // 2])
        assert request.transport is not None
        request.transport.close()
        return response


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedPds]:
    app = web.Application()
    runner = make_runner(app)
    async with SafeHttp() as http:
        server = ScriptedPds(http)
        app.router.add_get("/{path:.*}", server.handle)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.port = runner.addresses[0][1]
        yield server
        server.released.set()
    await runner.cleanup()
